"""The body of traces/ingest, item by item: a bad one never fails its batch."""

import re

import msgspec
from msgspec import Raw, Struct

from execlave_server.actions.ingest_traces import RefusalCode, RefusedTrace, SentItem
from execlave_server.api.codec import TooDeepError, decode
from execlave_server.api.split_items import split_items
from execlave_server.errors import BadRequestError
from execlave_server.model.json_bytes import digest
from execlave_server.model.traces import ID_CHARS_MAX, TraceItem

ITEMS_MAX = 1_000  # in one request; the SDK sends 100
TOKEN_BITS_MAX = 1_000  # a longer number cannot be summed and encoded again
TIMESTAMP_MS_MAX = 8_640_000_000_000_000  # as far as JavaScript's dates go


_CREDENTIAL = b'"agentCredential"'
_NUL = b"\\u0000"  # as JSON writes it; it may also be a backslash and five letters
_TRACE_ID = re.compile(rb'"traceId"\s*:\s*"([^"\\]{1,256})"')


class _IngestBody(Struct):
    traces: list[Raw]


class _Name(Struct, rename="camel"):
    trace_id: object = None


_item = msgspec.json.Decoder(TraceItem)
_name = msgspec.json.Decoder(_Name)
_members = msgspec.json.Decoder(dict[str, Raw])


def read_items(body: bytes) -> tuple[list[SentItem], list[RefusedTrace]]:
    """The items that can be stored, and those that cannot, each with its reason.

    Raises BadRequestError when the body as a whole is not `{"traces": [...]}`.
    """
    raws = _split(body)
    if len(raws) > ITEMS_MAX:
        raise BadRequestError(f"{len(raws):,} traces in one request; the most is {ITEMS_MAX:,}. Send several requests.")
    read = _read_item if _is_utf8(body) else _read_suspect_item
    sent: list[SentItem] = []
    refused: list[RefusedTrace] = []
    for raw in raws:
        try:
            sent.append(read(raw))
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError) as error:
            refused.append(RefusedTrace(_trace_id(raw), RefusalCode.VALIDATION_ERROR, _reason(error)))
    return sent, refused


def _split(body: bytes) -> list[bytes]:
    try:
        return [bytes(raw) for raw in decode(body, _IngestBody).traces]
    except TooDeepError:
        return split_items(body)


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _read_suspect_item(raw: bytes) -> SentItem:
    """The decoder looks only at the texts it reads; somewhere in this request there is one that is not UTF-8."""
    raw.decode()
    return _read_item(raw)


def _read_item(raw: bytes) -> SentItem:
    item = _item.decode(raw)
    if item.agent_credential is not None or _CREDENTIAL in raw:
        raw = _without_credential(raw)
    span_id = item.given_span_id
    if span_id is None:
        span_id = digest(raw)  # an item that is no span is identified by what it says
    elif len(span_id) > ID_CHARS_MAX:
        raise ValueError(f"metadata.spanId has more than {ID_CHARS_MAX} characters")
    if _NUL in raw:
        _refuse_nul(item, span_id)
    if (item.summed_tokens or 0).bit_length() > TOKEN_BITS_MAX:
        raise ValueError("the token counts are beyond any number that can be written down")
    occurred_at_ms = item.occurred_at_ms
    if occurred_at_ms is not None and abs(occurred_at_ms) > TIMESTAMP_MS_MAX:
        raise ValueError("timestamp is beyond the range of dates")
    return SentItem(raw, item, span_id, occurred_at_ms)


def _without_credential(raw: bytes) -> bytes:
    """The item as sent but for its credential, which is proof only while it is secret: it is verified, never stored."""
    kept = {name: value for name, value in _members.decode(raw).items() if name != "agentCredential"}
    return msgspec.json.encode(kept)


def _refuse_nul(item: TraceItem, span_id: str) -> None:
    """Metadata may have NUL characters, being kept as bytes; what the store keeps as text may not."""
    kept_as_text = {
        "traceId": item.trace_id,
        "metadata.spanId": span_id,
        "agentId": item.agent_id,
        "environment": item.environment,
        "spanType": item.given_span_type,
    }
    for name, text in kept_as_text.items():
        if text and "\0" in text:
            raise ValueError(f"{name} has a NUL character (U+0000)")


def _trace_id(raw: bytes) -> str:
    """The trace id of an item that could not be read, as far as it can be found."""
    try:
        name = _name.decode(raw).trace_id
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        found = _TRACE_ID.search(raw)
        return found[1].decode(errors="replace") if found else ""
    return name[:ID_CHARS_MAX] if isinstance(name, str) else ""


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "The trace is nested too deeply."
    if isinstance(error, UnicodeDecodeError):
        return "The trace is not UTF-8."
    return f"The trace is not valid: {error}."
