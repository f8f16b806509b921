"""Bytes to types and back: bodies, the envelope, and the one shape of an error."""

from collections.abc import AsyncIterator
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from execlave_server.errors import BadRequestError, ExeclaveServerError, PayloadTooLargeError, ValidationFailedError
from execlave_server.model.json_bytes import mend_surrogates

BODY_BYTES_MAX = 1_000_000  # of what people and scripts configure
SDK_BODY_BYTES_MAX = 16_000_000  # of what agents send: adapters seal whole requests into metadata
DRAIN_BYTES_MAX = 1 << 30  # read on past the limit, so that the client hears the answer instead of a reset

T = TypeVar("T")


class TooDeepError(BadRequestError):
    """The body is nested more deeply than the decoder goes."""


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body. Raises PayloadTooLargeError past the limit, after reading the rest away."""
    pieces: list[bytes] = []
    size = 0
    stream: AsyncIterator[bytes] = request.stream()
    async for piece in stream:
        size += len(piece)
        if size <= limit:
            pieces.append(piece)
        elif size > DRAIN_BYTES_MAX:
            break
        else:
            pieces.clear()
    if size > limit:
        raise PayloadTooLargeError(
            f"The body has more than {limit:,} bytes, which is the most this endpoint takes. Send less at once."
        )
    return b"".join(pieces)


def decode(body: bytes, wanted: type[T]) -> T:
    """A JSON body as a type. Raises BadRequestError or ValidationFailedError saying what is wrong and where."""
    try:
        return msgspec.json.decode(body, type=wanted)
    except msgspec.ValidationError as error:
        raise ValidationFailedError(f"The request is not valid: {error}.", fields=_field_of(str(error))) from error
    except msgspec.DecodeError as error:
        mended = mend_surrogates(body)
        if mended != body:
            return decode(mended, wanted)
        raise BadRequestError(f"The body is not JSON: {error}.") from error
    except UnicodeDecodeError as error:
        raise BadRequestError("The body is not UTF-8.") from error
    except RecursionError as error:
        raise TooDeepError("The body is nested more deeply than about a thousand levels.") from error


def answer(content: Any, status: int = 200) -> Response:
    """A JSON answer as it is."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def data(content: Any, status: int = 200) -> Response:
    """A JSON answer in the envelope."""
    return answer({"data": content}, status)


def page(content: list[Any], total: int) -> Response:
    """A list in the envelope, with how many there are in all."""
    return answer({"data": content, "meta": {"total": total}})


def error_body(error: ExeclaveServerError) -> dict[str, Any]:
    """The envelope of an error."""
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.fields:
        body["fields"] = error.fields
    return {"error": body}


def refuse(error: ExeclaveServerError) -> Response:
    """The answer to a request that failed."""
    response = answer(error_body(error), error.status)
    if error.status == 401:  # noqa: PLR2004 - HTTP Unauthorized
        response.headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def whole_number(text: str, name: str, most: int) -> int:
    """A number in a query. Raises ValidationFailedError naming it."""
    if not text.isascii() or not text.isdigit() or len(text) > len(str(most)) or int(text) > most:
        raise ValidationFailedError(f"{name} is {text!r}; it must be a whole number up to {most}.", fields={name: text})
    return int(text)


def _field_of(message: str) -> dict[str, str]:
    """The field a validation message names: msgspec writes "... - at `$.name`"."""
    what, separator, where = message.rpartition(" - at `$.")
    if separator:
        return {where.rstrip("`"): what}
    if message.startswith("Object missing required field `"):
        return {message.split("`")[1]: "is required"}
    if message.startswith("Object contains unknown field `"):
        return {message.split("`")[1]: "is not known"}
    return {}
