"""Audit: who did what, whether everything stored is as it was recorded, and files to take away."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response

from execlave_server.actions.export_evidence import export_evidence
from execlave_server.actions.manage_people import list_people
from execlave_server.actions.search_audit import NEWEST, AuditFound, AuditSearch, search_audit
from execlave_server.actions.show_content import note_content_read
from execlave_server.actions.sign_head import sign_present_head
from execlave_server.audit.chain import Entry
from execlave_server.audit.events import Kind
from execlave_server.audit.head import head_line
from execlave_server.errors import NotFoundError, ValidationFailedError
from execlave_server.model.permissions import Permission
from execlave_server.web.csv_cells import csv_text
from execlave_server.web.exchange import Form, Page, PageRoute
from execlave_server.web.live import Topic
from execlave_server.web.render import iso

LIST = "/audit"
SHOWN = 50
EXPORTED_MAX = 5_000
_COLUMNS = ("seq", "kind", "at", "actor", "subject", "details", "previous", "hash")
_FILTERS = ("kind", "actor", "subject", "from", "to")


async def show_audit(page: Page) -> Response:
    """The newest entries that fit."""
    errors: dict[str, str] = {}
    try:
        found = await search_audit(page.services, page.organization.number, _search(page.query), limit=SHOWN)
    except ValidationFailedError as error:
        errors, found = error.fields, AuditFound([], None, None)
    kept = {name: page.query[name] for name in _FILTERS if page.query[name]}
    return page.render(
        "audit/list.html",
        400 if errors else 200,
        errors=errors,
        values=page.query,
        found=found,
        kept=urlencode(kept),
        names=await _names(page),
        kinds=[("", "everything but batches"), *((kind.value, kind.value) for kind in Kind)],
        older=f"{LIST}?{urlencode({**kept, 'before': found.older})}" if found.older else None,
    )


async def show_entry(page: Page) -> Response:
    """One entry with its links to the one before."""
    entry = await _entry(page)
    details = msgspec.json.format(entry.details, indent=2)
    return page.render("audit/entry.html", entry=entry, details=details, names=await _names(page))


async def show_verification(page: Page) -> Response:
    """How the last verification went, and the files that an auditor keeps."""
    return page.render("audit/verify.html", **_verification(page))


async def fragment_verification(page: Page) -> str:
    """The same, for a page that follows it."""
    return page.fragment("audit/_run.html", **_verification(page))


async def post_verify(page: Page) -> Response:
    """Verify everything, in the background."""
    services = page.services
    services.verifications.start(services.store, services.clock, page.organization.number)
    return page.redirect(f"{LIST}/verify")


async def get_head(page: Page) -> Response:
    """The signed head of the chain as it is now, as a file."""
    head = await sign_present_head(page.services, page.organization)
    if head is None:
        raise NotFoundError("Nothing is recorded yet.")
    return _file(head_line(head), f"head-{head.seq}.json", "application/json")


async def get_export(page: Page) -> Response:
    """The newest entries that fit, as JSON lines or CSV."""
    found = await search_audit(page.services, page.organization.number, _search(page.query), limit=EXPORTED_MAX)
    rows = [_row(entry) for entry in found.entries]
    if page.query["format"] == "csv":
        return _file(csv_text(_COLUMNS, (tuple(row.values()) for row in rows)).encode(), "audit.csv", "text/csv")
    lines = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    return _file(lines, "audit.jsonl", "application/jsonl")


async def get_evidence(page: Page) -> Response:
    """The evidence file of a trace; it holds what the agent was given and answered."""
    trace_id = page.query["trace"]
    evidence = await export_evidence(page.services, page.organization, trace_id)
    await note_content_read(page.services, page.person, [trace_id])
    return _file(evidence, "evidence.json", "application/json")


async def _entry(page: Page) -> Entry:
    text = page.path("seq")
    seq = int(text) if text.isascii() and text.isdigit() and len(text) < len(str(NEWEST)) else 0
    wanted = {"organization": page.organization.number, "after": seq - 1, "limit": 1}
    found = await page.services.store.find(Entry, "audit_entries", wanted)
    if not found or found[0].seq != seq:
        raise NotFoundError(f"There is no entry {text!r} in this organization's audit chain.")
    return found[0]


def _verification(page: Page) -> dict[str, Any]:
    return {"run": page.services.verifications.of(page.organization.number)}


async def _names(page: Page) -> dict[str, str]:
    """What actors are called."""
    people = await list_people(page.services, page.organization)
    return {person.actor: person.name or person.email for person in people}


def _search(query: Form) -> AuditSearch:
    errors: dict[str, str] = {}
    times: dict[str, int] = {}
    for name in ("from", "to"):
        try:
            if query[name]:
                at = datetime.fromisoformat(query[name])
                times[name] = int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000_000)
        except ValueError:
            errors[name] = "Give a date and a time (UTC), like 2026-01-31T14:00."
    if query["kind"] and query["kind"] not in set(Kind):
        errors["kind"] = "There is no such kind of entry."
    before = query["before"] or str(NEWEST)
    if not (before.isascii() and before.isdigit() and int(before) <= NEWEST):
        errors["before"] = "must be a number"
    if errors:
        raise ValidationFailedError("The search is not right yet.", fields=errors)
    return AuditSearch(
        kind=Kind(query["kind"]) if query["kind"] else None,
        actor=query["actor"],
        subject=query["subject"],
        from_us=times.get("from"),
        to_us=times.get("to"),
        before=int(before),
    )


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "kind": entry.kind,
        "at": iso(entry.at_us),
        "actor": entry.actor,
        "subject": entry.subject,
        "details": entry.details,
        "previous": entry.previous.hex(),
        "hash": entry.hash.hex(),
    }


def _file(content: bytes, name: str, media_type: str) -> Response:
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})


ROUTES = (
    PageRoute("GET", LIST, Permission.AUDIT_READ, show_audit, "audit"),
    PageRoute("GET", f"{LIST}/verify", Permission.AUDIT_READ, show_verification, "audit"),
    PageRoute("POST", f"{LIST}/verify", Permission.AUDIT_READ, post_verify, "audit"),
    PageRoute("GET", f"{LIST}/head", Permission.AUDIT_READ, get_head, "audit"),
    PageRoute("GET", f"{LIST}/export", Permission.AUDIT_READ, get_export, "audit"),
    PageRoute("GET", f"{LIST}/evidence", Permission.TRACES_CONTENT, get_evidence, "audit"),
    PageRoute("GET", f"{LIST}/entries/{{seq}}", Permission.AUDIT_READ, show_entry, "audit"),
)
TOPICS = (Topic("verification", Permission.AUDIT_READ, fragment_verification),)
