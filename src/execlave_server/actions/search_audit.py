"""The newest entries of an audit chain that fit a search, page by page, without reading the roots of every batch."""

import heapq
from collections.abc import AsyncIterator
from operator import attrgetter

from msgspec import Struct

from execlave_server.actions.services import Services
from execlave_server.audit.chain import Entry
from execlave_server.audit.events import Kind
from execlave_server.store.protocol import Parameters

NEWEST = (1 << 62) - 1
LOOKED_AT_MAX = 5_000  # entries of one page: a search that finds little says how far back it went, and goes on
_READ_AT_ONCE = 200


class AuditSearch(Struct, frozen=True):
    """What is looked for. `actor` and `subject` are the beginnings of what an entry says; times are microseconds."""

    kind: Kind | None = None
    actor: str = ""
    subject: str = ""
    from_us: int | None = None
    to_us: int | None = None
    before: int = NEWEST

    def fits(self, entry: Entry) -> bool:
        """Whether an entry is looked for, but for its kind."""
        return (
            entry.actor.startswith(self.actor)
            and entry.subject.startswith(self.subject)
            and (self.to_us is None or entry.at_us < self.to_us)
        )


class AuditFound(Struct, frozen=True):
    """A page of entries, the newest first. `older` is where the next page begins; None at the end of the chain."""

    entries: list[Entry]
    older: int | None
    looked_back_to_us: int | None


async def search_audit(services: Services, organization: int, search: AuditSearch, *, limit: int) -> AuditFound:
    """The newest entries that fit, all kinds but the roots of batches where none is named."""
    found: list[Entry] = []
    looked_at, last = 0, None
    async for entry in _newest(services, organization, search):
        if search.from_us is not None and entry.at_us < search.from_us:
            return AuditFound(found, None, entry.at_us)
        looked_at, last = looked_at + 1, entry
        if search.fits(entry):
            found.append(entry)
        if len(found) == limit or looked_at == LOOKED_AT_MAX:
            return AuditFound(found, entry.seq, entry.at_us)
    return AuditFound(found, None, last.at_us if last else None)


async def _newest(services: Services, organization: int, search: AuditSearch) -> AsyncIterator[Entry]:
    """Entries from the newest back, merged from the index of each kind."""
    if search.kind is Kind.BATCH_ROOT:
        async for entry in _of_kind(services, organization, None, search.before):
            if entry.kind == Kind.BATCH_ROOT:
                yield entry
        return
    kinds = [search.kind] if search.kind else [kind for kind in Kind if kind is not Kind.BATCH_ROOT]
    before = search.before
    while True:
        pages = [await _page(services, organization, kind, before) for kind in kinds]
        full = [page[-1].seq for page in pages if len(page) == _READ_AT_ONCE]
        down_to = max(full, default=0)  # below it a kind may have entries that were not read
        merged = heapq.merge(*pages, key=attrgetter("seq"), reverse=True)
        for entry in merged:
            if entry.seq >= down_to:
                yield entry
        if not full:
            return
        before = down_to
        kinds = [kind for kind, page in zip(kinds, pages, strict=True) if page]


async def _of_kind(services: Services, organization: int, kind: Kind | None, before: int) -> AsyncIterator[Entry]:
    while page := await _page(services, organization, kind, before):
        for entry in page:
            yield entry
        before = page[-1].seq


async def _page(services: Services, organization: int, kind: Kind | None, before: int) -> list[Entry]:
    wanted: Parameters = {"organization": organization, "before": before, "limit": _READ_AT_ONCE}
    if kind is None:
        return await services.store.find(Entry, "newest_entries", wanted)
    return await services.store.find(Entry, "newest_of_kind", {**wanted, "kind": kind})
