"""What lets a sweep delete, and what it leaves in the audit chain: one transaction holds both."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from execlave_server.audit.chain import Event
from execlave_server.audit.changes import SERVER
from execlave_server.audit.events import BatchRoot, Kind, Sweep, SweptRange
from execlave_server.audit.sweeps import swept_range
from execlave_server.store.protocol import Call, NewEvent, Store, Value, integer


@dataclass(frozen=True, slots=True)
class SweepRecord:
    """The calls before and after those that delete, and the entry of the same write."""

    opening: Sequence[Call]
    closing: Sequence[Call]
    events: Sequence[NewEvent]


async def record_sweep(
    store: Store, organization: int, batches: Collection[int], *, older_than_us: int, now_us: int, actor: str = SERVER
) -> SweepRecord:
    """What belongs into the write that removes these batches of an organization; decisions of no batch may go with it.

    The write's checks must hold that no other batch of the organization lies in between, or it is not of these ranges.
    """
    scope: dict[str, Value] = {"organization": organization}
    around: dict[str, Value] = {"first_batch": min(batches, default=0), "last_batch": max(batches, default=-1)}
    found = await store.rows("recorded_roots", scope | around)
    runs = list(_runs([(integer(batch), _root(details)) for batch, details in found], batches))
    ends = [(run[0][0], run[-1][0]) for run in runs] or [(0, -1)]
    opening = [Call("open_sweep", {**scope, "first_batch": first, "last_batch": last}) for first, last in ends]
    ranges = tuple(swept for run in runs if (swept := _range(run)))
    details = Sweep(older_than_us=older_than_us, ranges=ranges)
    event = Event(Kind.SWEPT, now_us, actor, "batches" if batches else "decisions", details)
    return SweepRecord(opening, [Call("close_sweep", scope)], [NewEvent(organization, event)])


def _runs(there: Sequence[tuple[int, str | None]], batches: Collection[int]) -> Iterator[list[tuple[int, str | None]]]:
    """The batches in unbroken ranges: where one of the organization stays in between, a new range begins."""
    run: list[tuple[int, str | None]] = []
    for batch, root in there:
        if batch in batches:
            run.append((batch, root))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _range(run: Sequence[tuple[int, str | None]]) -> SweptRange | None:
    """A range as the entry has it; None where nothing of it was ever in the chain."""
    recorded = [(batch, root) for batch, root in run if root is not None]
    return swept_range(recorded) if recorded else None


def _root(details: Value) -> str | None:
    return None if details is None else msgspec.json.decode(str(details), type=BatchRoot).root
