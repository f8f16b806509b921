"""The audit chains that one transaction appends to. Pure: heads in, entries and new heads out."""

from collections.abc import Iterable, Iterator, Sequence

from execlave_server.audit.chain import Entry, Event, Head, next_entry
from execlave_server.audit.event_logs import EventLog, event_log
from execlave_server.audit.merkle import HASH_BYTES
from execlave_server.store.protocol import NewEvent, Parameters, Row, Write, integer


class Chains:
    """Appends to the chains of some organizations, whose heads are locked until the transaction's end."""

    def __init__(self, heads: Iterable[tuple[int, Head]]) -> None:
        self._heads = dict(heads)
        self.entries: list[Parameters] = []
        self.streamed: dict[int, list[EventLog]] = {}

    def append(self, organization: int, event: Event) -> Entry:
        """The entry that an event becomes."""
        entry = next_entry(self._heads[organization], event)
        self._heads[organization] = self._heads[organization].after(entry.hash)
        self.entries.append(
            {
                "organization": organization,
                "seq": entry.seq,
                "kind": entry.kind,
                "at_us": entry.at_us,
                "actor": entry.actor,
                "subject": entry.subject,
                "details": entry.details,
                "previous": entry.previous,
                "history": entry.history,
                "hash": entry.hash,
            }
        )
        return entry

    def tell(self, new: NewEvent) -> None:
        """Append an event, and keep its log where it is streamed."""
        log = event_log(new.event, self.append(new.organization, new.event), new.context)
        if log is not None:
            self.streamed.setdefault(new.organization, []).append(log)

    def heads(self) -> Iterable[Parameters]:
        """What `move_audit_head` takes, for each chain."""
        for organization, head in self._heads.items():
            frontier = b"".join(head.frontier)
            yield {"organization": organization, "seq": head.seq, "hash": head.hash, "frontier": frontier}


def head_from(row: Row) -> Head:
    """The head that `audit_head` or `lock_audit_head` returned."""
    organization, seq, hash_, frontier = row
    assert isinstance(hash_, bytes)
    assert isinstance(frontier, bytes)
    nodes = tuple(frontier[start : start + HASH_BYTES] for start in range(0, len(frontier), HASH_BYTES))
    return Head(str(organization), integer(seq), hash_, nodes)


def events_of(write: Write, rows: Sequence[Sequence[Row]]) -> Iterator[NewEvent]:
    """What a write adds to the chains, now that its calls have returned these rows."""
    for new in write.events:
        if isinstance(new, NewEvent):
            yield new
        elif returned := rows[new.call]:
            yield NewEvent(new.organization, new.make(returned[0]))
