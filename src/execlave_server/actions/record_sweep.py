"""What lets a sweep delete, and what it leaves in the audit chain: one transaction holds both."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

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

    The write's checks must hold that each of these batches is still there.
    """
    scope: dict[str, Value] = {"organization": organization}
    around: dict[str, Value] = {"first_batch": min(batches, default=0), "last_batch": max(batches, default=-1)}
    found = await store.rows("recorded_roots", scope | around)
    there = [_There(integer(batch), _root(details), bool(follows_swept)) for batch, details, follows_swept in found]
    runs = list(_runs(there, batches))
    ends = [(run[0].batch, run[-1].batch) for run in runs] or [(0, -1)]
    opening = [Call("open_sweep", {**scope, "first_batch": first, "last_batch": last}) for first, last in ends]
    ranges = tuple(swept for run in runs if (swept := _range(run)))
    details = Sweep(older_than_us=older_than_us, ranges=ranges)
    event = Event(Kind.SWEPT, now_us, actor, "batches" if batches else "decisions", details)
    return SweepRecord(opening, [Call("close_sweep", scope)], [NewEvent(organization, event)])


class _There(NamedTuple):
    """A batch that is there; `root` is None from before the chain. Others were swept before it since the one before."""

    batch: int
    root: str | None
    follows_swept: bool


def _runs(there: Sequence[_There], batches: Collection[int]) -> Iterator[list[_There]]:
    """The batches in unbroken ranges: where one stays in between, or was swept earlier, a new range begins."""
    wanted = set(batches)
    run: list[_There] = []
    for each in there:
        if run and (each.follows_swept or each.batch not in wanted):
            yield run
            run = []
        if each.batch in wanted:
            run.append(each)
    if run:
        yield run


def _range(run: Sequence[_There]) -> SweptRange | None:
    """A range as the entry has it; None where nothing of it was ever in the chain."""
    recorded = [(each.batch, each.root) for each in run if each.root is not None]
    return swept_range(recorded) if recorded else None


def _root(details: Value) -> str | None:
    return None if details is None else msgspec.json.decode(str(details), type=BatchRoot).root
