"""The evidence over HTTP, for admin keys."""

from typing import Any

from msgspec import Raw
from starlette.responses import Response

from execlave_server.actions.export_evidence import export_evidence
from execlave_server.actions.issue_key import find_organization
from execlave_server.actions.show_content import note_content_read
from execlave_server.api.codec import answer, whole_number
from execlave_server.api.exchange import Exchange
from execlave_server.api.times import iso
from execlave_server.audit.chain import Entry
from execlave_server.audit.events import Kind
from execlave_server.errors import ValidationFailedError
from execlave_server.store.protocol import Parameters

ENTRIES_PER_PAGE_MAX = 1_000


async def get_audit(exchange: Exchange) -> Response:
    """A page of the audit chain, oldest first; `kind` or `events=true` leaves the roots of batches out."""
    query = exchange.request.query_params
    kind = query.get("kind")
    if kind is not None and kind not in set(Kind):
        raise ValidationFailedError(f"There is no kind {kind!r} of entry.", fields={"kind": "is not known"})
    page: Parameters = {
        "organization": exchange.caller.organization,
        "after": whole_number(query.get("after", "0"), "after", 1 << 62),
        "limit": whole_number(query.get("limit", "100"), "limit", ENTRIES_PER_PAGE_MAX),
    }
    only_events = query.get("events") == "true" or kind not in {None, Kind.BATCH_ROOT}
    if only_events:
        found = await exchange.services.store.find(Entry, "audit_events", {**page, "kind": kind})
    else:
        found = await exchange.services.store.find(Entry, "audit_entries", page)
    entries = [entry_view(entry) for entry in found if kind is None or entry.kind == kind]
    following = found[-1].seq if found else page["after"]
    return answer({"data": entries, "meta": {"next": following}})


async def get_evidence(exchange: Exchange) -> Response:
    """The evidence file of a trace, as `audit export` writes it."""
    organization = await find_organization(exchange.services, exchange.caller.organization_id)
    evidence = await export_evidence(exchange.services, organization, exchange.path("trace"))
    await note_content_read(exchange.services, exchange.caller, [exchange.path("trace")])
    return Response(evidence, media_type="application/json")


def entry_view(entry: Entry) -> dict[str, Any]:
    """An entry as the API shows it."""
    return {
        "seq": entry.seq,
        "kind": entry.kind,
        "at": iso(entry.at_us),
        "atUs": entry.at_us,
        "actor": entry.actor,
        "subject": entry.subject,
        "details": Raw(entry.details.encode()),
        "previous": entry.previous.hex(),
        "history": entry.history.hex(),
        "hash": entry.hash.hex(),
    }
