"""Retention: whole batches that are older than the limit go, in small steps, and the audit chain says which."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from msgspec import Struct

from execlave_server.actions.record_sweep import SweepRecord, record_sweep
from execlave_server.audit.changes import SERVER
from execlave_server.clock import Clock
from execlave_server.model.organizations import Organization
from execlave_server.store.protocol import Call, Check, Parameters, StaleError, Store, Value, Write, Written, integer

BATCHES_PER_PAGE = 500  # looked at in one read
ROWS_PER_STEP = 500  # traces and decisions, in one transaction, but for a single batch that has more: some milliseconds
BATCHES_PER_STEP = 100  # the same, where batches are small
DECISIONS_PER_STEP = 500  # of those that are of no batch
APPROVALS_PER_STEP = 500
REST_PER_WORK = 9  # a sweep has at most a tenth of the writer's time: 15,000 traces a second when measured
REST_S_MIN = 0.01
DAY_US = 86_400_000_000


class Left(StrEnum):
    """Why a batch that is old enough was left."""

    WAITING = "waiting"
    HELD = "held"
    DISABLED = "disabled"
    PARKED = "parked"
    CHANGED = "changed"

    @property
    def meaning(self) -> str:
        """The reason for people."""
        return _MEANINGS[self]


_MEANINGS = {
    Left.WAITING: "they wait for delivery",
    Left.HELD: "they wait for a destination that is held",
    Left.DISABLED: "they wait for a destination that is disabled",
    Left.PARKED: "some of their logs are parked",
    Left.CHANGED: "they were queued again meanwhile",
}
_WAITS_FOR = {"held": Left.HELD, "disabled": Left.DISABLED}


class ExpiredBatch(Struct, frozen=True):
    """A batch that is old enough; `waits_for` is the state of a destination it still waits for."""

    id: int
    received_at_us: int
    trace_count: int
    decision_count: int
    event_count: int
    waits_for: str | None
    parked: int | None

    @property
    def row_count(self) -> int:
        """How many traces, decisions and events go with it."""
        return self.trace_count + self.decision_count + self.event_count

    @property
    def left(self) -> Left | None:
        """Why it may not go without force."""
        if self.waits_for is not None:
            return _WAITS_FOR.get(self.waits_for, Left.WAITING)
        return Left.PARKED if self.parked else None


@dataclass(frozen=True, slots=True)
class Step:
    """Batches that go in one transaction; `range` names the unbroken range they belong to by its first batch."""

    batches: Sequence[ExpiredBatch]
    range: int

    @property
    def trace_count(self) -> int:
        """How many traces go with them."""
        return sum(batch.trace_count for batch in self.batches)

    @property
    def decision_count(self) -> int:
        """How many decisions go with them."""
        return sum(batch.decision_count for batch in self.batches)


@dataclass(slots=True)
class Swept:
    """What a sweep did, or with a dry run would do."""

    before_us: int
    dry_run: bool = False
    batches: int = 0
    traces: int = 0
    decisions: int = 0
    approvals: int = 0
    left: Counter[Left] = field(default_factory=Counter)

    @property
    def looked_at(self) -> int:
        """How many batches were old enough."""
        return self.batches + self.left.total()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be swept: everything received before a time; with `force` also what waits or is parked.

    `actor` is who wants it, as the audit chain names it.
    """

    before_us: int
    force: bool = False
    dry_run: bool = False
    actor: str = SERVER


Report = Callable[[int, int], object]


def plan_steps(page: Sequence[ExpiredBatch], unbroken: int | None, *, force: bool) -> tuple[list[Step], list[Left]]:
    """The steps for a page of batches, and why others are left. `unbroken` is the range the page before ended in."""
    steps: list[Step] = []
    left: list[Left] = []
    step: list[ExpiredBatch] = []

    def close() -> None:
        nonlocal unbroken
        if step:
            unbroken = step[0].id if unbroken is None else unbroken
            steps.append(Step(tuple(step), unbroken))
            step.clear()

    for batch in page:
        if not force and (reason := batch.left):
            left.append(reason)
            close()
            unbroken = None
            continue
        rows = sum(each.row_count for each in step)
        if len(step) == BATCHES_PER_STEP or rows + batch.row_count > ROWS_PER_STEP:
            close()
        step.append(batch)
    close()
    return steps, left


class Sweep:
    """One sweep over every organization. Safe beside commits, deliveries, and other sweeps."""

    def __init__(self, store: Store, clock: Clock, wanted: Wanted, report: Report | None = None) -> None:
        self._store = store
        self._clock = clock
        self._wanted = wanted
        self._report = report
        self._id = clock.uuid()
        self._total = 0
        self._swept = Swept(wanted.before_us, wanted.dry_run)

    async def run(self) -> Swept:
        """Sweep. Raises UnavailableError when the store cannot commit; what was done until then stays done."""
        if self._report:
            rows = await self._store.rows("count_expired", {"before_us": self._wanted.before_us})
            self._total = integer(rows[0][0])
        for organization in await self._store.find(Organization, "list_organizations"):
            await self._sweep_batches(organization.number)
            await self._sweep_decisions(organization.number)
            await self._sweep_approvals(organization.number)
        if not self._wanted.dry_run:
            await self._commit(Write(calls=[Call("drop_swept_days", {"before_us": self._wanted.before_us})]))
        return self._swept

    async def _sweep_batches(self, organization: int) -> None:
        wanted: dict[str, Value] = {"organization": organization, "before_us": self._wanted.before_us}
        after_us, after, unbroken = -1, 0, None
        while True:
            place: Parameters = wanted | {"after_us": after_us, "after": after, "limit": BATCHES_PER_PAGE}
            page = await self._store.find(ExpiredBatch, "expired_batches", place)
            if not page:
                return
            steps, left = plan_steps(page, unbroken, force=self._wanted.force)
            for step in steps:
                await self._take(organization, step)
            self._swept.left.update(left)
            self._tell()
            after_us, after = page[-1].received_at_us, page[-1].id
            unbroken = steps[-1].range if steps and steps[-1].batches[-1] is page[-1] else None

    async def _take(self, organization: int, step: Step) -> None:
        if not self._wanted.dry_run:
            first, last = step.batches[0], step.batches[-1]
            span: Mapping[str, Value] = {
                "organization": organization,
                "from_us": first.received_at_us,
                "first": first.id,
                "to_us": last.received_at_us,
                "last": last.id,
            }
            forced = {"forced": int(self._wanted.force)}
            now_us = self._clock.now_us()
            row = {**span, **forced, "sweep": self._id, "range": step.range, "now_us": now_us}
            chained = await self._chained(organization, [batch.id for batch in step.batches], now_us)
            names = ["sweep_parked"] if self._wanted.force else []
            names += ["sweep_outbox", "sweep_traces", "sweep_decisions_of_batches", "sweep_event_logs"]
            removing = [*(Call(name, span) for name in names), Call("record_sweep", row), Call("sweep_batches", span)]
            calls = [*chained.opening, *removing, *chained.closing]
            check = Check("sweepable", {**span, **forced}, (len(step.batches),))
            try:
                await self._commit(Write(checks=[check], calls=calls, events=chained.events))
            except StaleError:
                self._swept.left[Left.CHANGED] += len(step.batches)
                return
        self._swept.batches += len(step.batches)
        self._swept.traces += step.trace_count
        self._swept.decisions += step.decision_count
        self._tell()

    async def _sweep_decisions(self, organization: int) -> None:
        expired: dict[str, Value] = {"organization": organization, "before_us": self._wanted.before_us}
        rows = await self._store.rows("count_expired_decisions", expired)
        left = integer(rows[0][0])
        if self._wanted.dry_run:
            self._swept.decisions += left
            return
        step = expired | {"limit": DECISIONS_PER_STEP}
        while left > 0:
            now_us = self._clock.now_us()
            row = step | {"sweep": self._id, "now_us": now_us}
            chained = await self._chained(organization, [], now_us)
            removing = [Call("record_swept_decisions", row), Call("sweep_decisions", step)]
            calls = [*chained.opening, *removing, *chained.closing]
            written = await self._commit(Write(calls=calls, events=chained.events))
            gone = len(written.rows[len(chained.opening) + 1])
            self._swept.decisions += gone
            left = left - gone if gone else 0

    async def _sweep_approvals(self, organization: int) -> None:
        """Approvals are no evidence, the chain is: those whose time is over go without an entry."""
        old: dict[str, Value] = {
            "organization": organization,
            "before_us": self._wanted.before_us,
            "now_us": self._clock.now_us(),
        }
        if self._wanted.dry_run:
            self._swept.approvals += integer((await self._store.rows("old_approvals", old))[0][0])
            return
        while True:
            call = Call("sweep_old_approvals", {**old, "limit": APPROVALS_PER_STEP})
            gone = len((await self._commit(Write(calls=[call]))).rows[0])
            self._swept.approvals += gone
            if gone < APPROVALS_PER_STEP:
                return

    async def _chained(self, organization: int, batches: Sequence[int], now_us: int) -> SweepRecord:
        wanted = self._wanted
        return await record_sweep(
            self._store, organization, batches, older_than_us=wanted.before_us, now_us=now_us, actor=wanted.actor
        )

    async def _commit(self, write: Write) -> Written:
        """Commit a step, then rest in proportion to what it took."""
        started_us = self._clock.elapsed_us()
        written = await self._store.commit(write)
        worked_s = (self._clock.elapsed_us() - started_us) / 1_000_000
        await asyncio.sleep(max(REST_S_MIN, worked_s * REST_PER_WORK))
        return written

    def _tell(self) -> None:
        if self._report:
            self._report(self._swept.looked_at, self._total)
