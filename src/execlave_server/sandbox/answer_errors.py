from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from execlave_server.errors import ExeclaveServerError, NotFoundError, PayloadTooLargeError
from execlave_server.sandbox.json_answer import json_answer
from execlave_server.sandbox.limits import WIRE_BYTES_MAX
from execlave_server.sandbox.refusals import (
    ApiRefusedError,
    ConfigRefusedError,
    RefusedError,
    refusal_answer,
    too_large,
)


class MethodNotAllowedError(ExeclaveServerError):
    """The path exists but does not take this method."""

    code = "METHOD_NOT_ALLOWED"
    status = 405


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give every error its side's shape: `{"error": {"code", "message"}}` under /sandbox, else Datadog's envelope."""
    try:
        return await handler(request)
    except RefusedError as refused:
        return refusal_answer(refused.status, refused.detail)
    except ApiRefusedError as refused:
        return json_answer({"errors": refused.errors}, refused.status)
    except ConfigRefusedError as refused:
        problem = {"code": refused.code, "message": refused.message, "details": list[str]()}
        return json_answer({"error": problem}, refused.status)
    except ExeclaveServerError as error:
        return answer_problem(request, error)
    except web.HTTPException as error:
        answer = answer_problem(request, read_problem(request, error))
        if hdrs.ALLOW in error.headers:
            answer.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
        return answer


def read_problem(request: web.Request, error: web.HTTPException) -> ExeclaveServerError:
    """The errors aiohttp raises by itself, in our words."""
    match error:
        case web.HTTPNotFound():
            return NotFoundError(f"nothing is at {request.path}: GET / lists what there is")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return MethodNotAllowedError(f"{request.path} does not take {request.method}: use {allowed}")
        case web.HTTPRequestEntityTooLarge():
            return PayloadTooLargeError(f"the body is over {WIRE_BYTES_MAX} bytes: send less")
        case _:
            raise error


def answer_problem(request: web.Request, problem: ExeclaveServerError) -> web.Response:
    """The problem in the shape of the side it happened on; the intake has its own words for two of them."""
    if request.path.startswith("/sandbox"):
        return json_answer({"error": {"code": problem.code, "message": problem.message}}, problem.status)
    match problem:
        case NotFoundError():
            return refusal_answer(400, "HTTP path is invalid")
        case PayloadTooLargeError():
            return refusal_answer(413, too_large().detail)
        case _:
            return refusal_answer(problem.status, problem.message)
