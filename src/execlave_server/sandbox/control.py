"""The sandbox's own endpoints, under /sandbox: what arrived, what shall fail, which keys are valid."""

from typing import Annotated, TypeVar

import msgspec
from aiohttp import web

from execlave_server.errors import BadRequestError, ValidationFailedError
from execlave_server.sandbox.faults import FaultRules
from execlave_server.sandbox.json_answer import json_answer
from execlave_server.sandbox.limits import KEY_CHARACTERS_MAX, KEYS_MAX, PAGE_LOGS_DEFAULT, PAGE_LOGS_MAX
from execlave_server.sandbox.state import STATE

SEQUENCE_MAX = 2**63 - 1  # more logs than any disk holds

# A header carries the key, so it is visible ASCII.
Key = Annotated[str, msgspec.Meta(pattern="^[!-~]+$", max_length=KEY_CHARACTERS_MAX)]


class ValidKeys(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `PUT /sandbox/keys`."""

    keys: Annotated[list[Key], msgspec.Meta(max_length=KEYS_MAX)]
    application_keys: Annotated[list[Key], msgspec.Meta(max_length=KEYS_MAX)] | None = None  # None: as they are


_Body = TypeVar("_Body")


async def list_logs(request: web.Request) -> web.Response:
    """`GET /sandbox/logs`: logs in arrival order, from after `after`, as the bytes they came in."""
    spool = request.app[STATE].spool
    after = read_number(request, "after", default=0, least=0, most=SEQUENCE_MAX)
    limit = read_number(request, "limit", default=PAGE_LOGS_DEFAULT, least=1, most=PAGE_LOGS_MAX)
    page = spool.page(after, limit)
    return json_answer(
        {"data": page, "meta": {"next": page[-1].sequence if page else after, "total": spool.total}},
    )


async def forget_logs(request: web.Request) -> web.Response:
    """`DELETE /sandbox/logs`: forget all logs and set the counters back; all else stays."""
    return json_answer({"forgotten": request.app[STATE].forget_logs()})


async def show_stats(request: web.Request) -> web.Response:
    """`GET /sandbox/stats`: counts since the start, or since the logs were last forgotten."""
    state = request.app[STATE]
    return json_answer(state.counters.report(state.spool.total))


async def show_faults(request: web.Request) -> web.Response:
    """`GET /sandbox/faults`: the rules with times left."""
    return json_answer({"rules": request.app[STATE].faults.left()})


async def plan_faults(request: web.Request) -> web.Response:
    """`POST /sandbox/faults`: put these rules in place of all others."""
    plan = await read_json(request, FaultRules)
    request.app[STATE].faults.replace(plan.rules)
    return await show_faults(request)


async def replace_keys(request: web.Request) -> web.Response:
    """`PUT /sandbox/keys`: these keys are valid from now on, and no others."""
    valid = await read_json(request, ValidKeys)
    state = request.app[STATE]
    state.keys.replace(valid.keys)
    if valid.application_keys is None:
        return json_answer({"keys": len(state.keys)})
    state.application_keys.replace(valid.application_keys)
    return json_answer({"keys": len(state.keys), "application_keys": len(state.application_keys)})


async def read_json(request: web.Request, kind: type[_Body]) -> _Body:
    """The request's body as `kind`, or an error that names what is wrong with it."""
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except msgspec.ValidationError as error:
        raise ValidationFailedError(f"{error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequestError(f"the body is not JSON: {error}") from error


def read_number(request: web.Request, name: str, *, default: int, least: int, most: int) -> int:
    """A whole number from the query string, within its bounds."""
    text = request.query.get(name)
    if text is None:
        return default
    digits = text.isascii() and text.isdecimal() and len(text) <= len(str(most))
    if not digits or not least <= int(text) <= most:
        raise ValidationFailedError(f"`{name}` must be a whole number from {least} to {most}")
    return int(text)
