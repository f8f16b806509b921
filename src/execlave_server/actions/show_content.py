"""What agents were given and answered: shown only to who may see it, and every look is an entry of the audit chain."""

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from execlave_server.actions.read_timeline import TimelineSpan
from execlave_server.actions.services import Services
from execlave_server.audit.chain import Event
from execlave_server.audit.events import ContentRead, Kind
from execlave_server.model.people import Caller, Person
from execlave_server.model.permissions import Permission, require
from execlave_server.model.traces import unpack_item
from execlave_server.store.protocol import NewEvent, Write

CONTENT_BYTES_MAX = 2_000_000  # of one look: as much as anybody reads; the spans behind it are shown without


class SpanContent(Struct, frozen=True):
    """What one span was given, answered and said of itself, as JSON; None where it said nothing."""

    span_id: str
    row: int
    input: bytes | None
    output: bytes | None
    metadata: bytes | None


class _Item(Struct, rename="camel"):
    input: Raw = Raw()
    output: Raw = Raw()
    input_data: Raw = Raw()
    output_data: Raw = Raw()
    metadata: Raw = Raw()


async def show_content(
    services: Services, caller: Caller, trace_id: str, spans: Sequence[TimelineSpan]
) -> list[SpanContent]:
    """The content of these spans, within 2 MB; the look is on record before anything is shown.

    Raises ForbiddenError without the permission.
    """
    if isinstance(caller, Person):
        require(caller, Permission.TRACES_CONTENT)
    shown: list[SpanContent] = []
    room = CONTENT_BYTES_MAX
    for span in spans:
        content = _read(span)
        room -= sum(len(part) for part in (content.input, content.output, content.metadata) if part is not None)
        if room < 0:
            break
        shown.append(content)
    await note_content_read(services, caller, [trace_id])
    return shown


async def note_content_read(services: Services, caller: Caller, trace_ids: Sequence[str]) -> None:
    """Put on record that somebody is about to be shown the content of these traces: one entry each."""
    now_us = services.clock.now_us()
    events = [
        Event(Kind.CONTENT_READ, now_us, caller.actor, f"trace:{trace_id}", ContentRead(trace=trace_id))
        for trace_id in trace_ids
    ]
    if events:
        await services.store.commit(Write(events=[NewEvent(caller.organization, event) for event in events]))


def _read(span: TimelineSpan) -> SpanContent:
    try:
        item = msgspec.json.decode(unpack_item(span.row.item), type=_Item)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        item = _Item()
    return SpanContent(
        span.span_id,
        span.id,
        _said(item.input) or _said(item.input_data),
        _said(item.output) or _said(item.output_data),
        _said(item.metadata),
    )


def _said(part: Raw) -> bytes | None:
    said = bytes(part)
    return None if said in {b"", b"null"} else said
