"""What happens inside one PostgreSQL transaction: locks, checks, calls, and traces made into batches."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from execlave_server.model.traces import TraceOutcome
from execlave_server.store.batches import Acceptance, Label, PlannedBatch, TraceKey, event_batches, key_of
from execlave_server.store.chains import Chains, events_of, head_from
from execlave_server.store.postgres.connection import Connection, refuse_nul
from execlave_server.store.protocol import Call, Check, NewEvent, Parameters, Row, Traces, Write, integer
from execlave_server.store.statements import Statement

DAY_US = 86_400_000_000
_COLUMNS = (
    "id",
    "day",
    "trace_key",
    "span_key",
    "organization",
    "batch",
    "status",
    "span_type",
    "agent",
    "environment",
    "occurred_at_ms",
    "trace_id",
    "span_id",
    "log",
    "item",
    "salt",
)


class Transaction:
    """The writes of one transaction. Nothing here commits; `new_labels` are true only if it does."""

    def __init__(
        self,
        connection: Connection,
        statements: Mapping[str, Statement],
        labels: Mapping[Label, int],
        *,
        committer: str,
        now_us: int,
        oldest_day: int,
    ) -> None:
        self._connection = connection
        self._statements = statements
        self._labels = labels
        self._now_us = now_us
        self._oldest_day = oldest_day
        self._stored = stored = dict[TraceKey, Row]()
        self._acceptance = Acceptance(stored, lambda trace: stored.get(key_of(trace.trace_key, trace.span_key)))
        self._events: list[NewEvent] = []
        self._settling: list[tuple[int, Call]] = []
        self.new_labels: dict[Label, int] = {}
        self._committer = committer
        self.proof: Call | None = None  # finds a row where this transaction, and no other of its number, was committed

    async def enter(self, writes: Sequence[Write]) -> str:
        """Share the locks of the organizations that these writes rest on, then read which traces are stored.

        One that a write both rests on and changes is locked alone from the start: two that share it could not both
        change it. Returns the transaction's id, by which its outcome can be asked for later.
        """
        organizations = sorted({number for write in writes for number in _rests_on(write)})
        changed = {number for write in writes for number in _changed_by(write)}
        entered = {"organizations": organizations, "alone": [number in changed for number in organizations]}
        rows = await self._rows("enter", entered)
        await self._hold_meters({number for write in writes for number in metered_by(write)})
        keys = {(trace.trace_key, trace.span_key) for write in writes if write.traces for trace in write.traces.items}
        if keys:
            trace_keys, span_keys = zip(*keys, strict=True)
            wanted = {"trace_keys": trace_keys, "span_keys": span_keys, "oldest_day": self._oldest_day}
            for trace_key, span_key, *stored in await self._rows("stored_traces", wanted):
                self._stored[key_of(integer(trace_key), integer(span_key))] = tuple(stored)
        return str(rows[0][0])

    async def call(self, call: Call) -> list[Row]:
        """Run one statement; its rows."""
        return await self._rows(call.statement, call.parameters)

    async def holds(self, check: Check) -> bool:
        """True when a check's first row is the expected one."""
        rows = await self._rows(check.statement, check.parameters)
        return (rows[0] if rows else None) == check.expected

    async def charge(self, charges: Sequence[Call]) -> bool:
        """Run statements that must each return a row; False, and nothing of them, where one does not."""
        if not charges:
            return True
        await self._connection.execute("savepoint charges")
        for charge in charges:
            if not await self.call(charge):
                await self._connection.execute("rollback to charges")
                return False
        await self._connection.execute("release charges")
        return True

    def accept(self, traces: Traces) -> list[TraceOutcome]:
        """Take traces into the organization's next batch, but for those that are stored already."""
        return self._acceptance.accept(traces)

    def settle(self, write: Write, outcomes: Sequence[TraceOutcome]) -> None:
        """Note what follows from what became of a write's traces; it is done last, so that meters are held shortly."""
        if write.settle and write.traces:
            number = write.traces.organization
            self._settling += [(number, call) for call in write.settle(outcomes)]

    async def record(self, write: Write, rows: Sequence[Sequence[Row]]) -> None:
        """Take in what a write adds to the audit chain; `rows` are what its calls returned."""
        if write.decision:
            self._acceptance.record(write.decision)
        self._events += events_of(write, rows)
        self._events += [telling.event for telling in write.tellings if await self.call(telling.mark)]

    async def store_accepted(self) -> None:
        """Write what was taken in: each batch with its outbox rows, then the entries of the audit chains.

        The rows of all batches go in by the order of their keys, so that two servers with the same traces wait for
        each other in one direction only. The heads of the chains are locked before batches get their numbers, so
        that a chain names its batches in ascending order; meters are locked before heads, as decisions do.
        """
        await self._hold_meters({number for number, _ in self._settling})
        for _, call in self._settling:
            await self.call(call)
        organizations = self._acceptance.organizations | {new.organization for new in self._events}
        if not organizations:
            return
        chains = await self._lock_chains(organizations)
        await self._store_batches(chains)
        for new in self._events:
            chains.tell(new)
        streamed = {
            number: logs
            for number, logs in chains.streamed.items()
            if await self._rows("takes_events", {"organization": number})
        }
        for planned in event_batches(streamed, 1):
            await self._store_batch(planned, chains)
        if chains.entries:
            self.proof = Call("has_audit_entry", chains.entries[-1])
        for entry_row in chains.entries:
            await self._rows("insert_audit_entry", entry_row)
        for head in chains.heads():
            await self._rows("move_audit_head", head)

    async def leave_proof(self) -> None:
        """Leave something behind by which the transaction is known, where nothing else will be."""
        if self.proof is None:
            mark: Parameters = {"committer": self._committer, "mark": uuid4().hex}
            await self._rows("leave_mark", mark)
            self.proof = Call("has_mark", mark)

    async def _store_batches(self, chains: Chains) -> None:
        count = self._acceptance.count
        first_id = integer((await self._rows("take_trace_ids", {"count": count}))[0][0]) if count else 1
        planned = list(self._acceptance.batches(first_id))
        await self._find_labels(set().union(*(batch.labels() for batch in planned)))
        rows: list[tuple[Any, ...]] = []
        for batch in planned:
            number = await self._store_batch(batch, chains)
            rows += self._trace_rows(number, batch)
        rows.sort(key=_trace_key_of)
        if rows:
            await self._connection.copy_records_to_table("traces", records=rows, columns=_COLUMNS)

    async def _store_batch(self, batch: PlannedBatch, chains: Chains) -> int:
        """Everything of a batch but its traces; its number."""
        number = integer((await self._rows("next_batch", {}))[0][0])
        entry = chains.append(batch.organization, batch.root_event(number, self._now_us))
        await self._rows("insert_batch", batch.row(entry, number, self._now_us))
        if batch.log_count:
            await self._rows("insert_outbox", batch.outbox_rows(number, self._now_us))
        for row in batch.decision_rows(number):
            await self._rows("insert_decision", row)
        for row in batch.event_rows(number):
            await self._rows("insert_event_log", row)
        for event in batch.decision_events(self._now_us):
            chains.append(batch.organization, event)
        return number

    async def _hold_meters(self, organizations: set[int]) -> None:
        """One transaction at a time counts for an organization: many meters in any order would cross."""
        if organizations:
            await self._rows("hold_meters", {"organizations": sorted(organizations)})

    async def _lock_chains(self, organizations: set[int]) -> Chains:
        rows = [
            (number, await self._rows("lock_audit_head", {"organization": number})) for number in sorted(organizations)
        ]
        return Chains((number, head_from(found[0])) for number, found in rows)

    def _trace_rows(self, batch: int, planned: PlannedBatch) -> Iterable[tuple[Any, ...]]:
        organization, day = planned.organization, self._now_us // DAY_US
        labels, new = self._labels, self.new_labels
        for row_id, trace in enumerate(planned.traces, start=planned.first_id):
            numbers = (
                labels.get(label) or new[label]
                for label in (
                    (organization, "span_type", trace.span_type),
                    (organization, "agent", trace.agent),
                    (organization, "environment", trace.environment),
                )
            )
            yield (
                row_id,
                day,
                trace.trace_key,
                trace.span_key,
                organization,
                batch,
                trace.status,
                *numbers,
                trace.occurred_at_ms,
                trace.trace_id,
                trace.span_id,
                trace.log,
                trace.item,
                trace.salt,
            )

    async def _find_labels(self, wanted: Iterable[Label]) -> None:
        for statement in ("find_labels", "insert_labels", "find_labels"):
            missing = [label for label in wanted if label not in self._labels and label not in self.new_labels]
            if not missing:
                return
            organizations, kinds, texts = zip(*missing, strict=True)
            columns = {"organizations": organizations, "kinds": kinds, "texts": texts}
            for organization, kind, text, number in await self._rows(statement, columns):
                self.new_labels[integer(organization), str(kind), str(text)] = integer(number)

    async def _rows(self, name: str, parameters: Mapping[str, Any]) -> list[Row]:
        return await fetch(self._connection, self._statements[name], parameters)


async def fetch(connection: Connection, statement: Statement, parameters: Mapping[str, Any]) -> list[Row]:
    """The rows of a statement, as plain tuples."""
    values = [parameters[name] for name in statement.parameters]
    for value in values:
        refuse_nul(value)
    return [tuple(record) for record in await connection.fetch(statement.numbered, *values)]


def _rests_on(write: Write) -> Iterable[int]:
    """The organizations whose facts must hold until this write is committed."""
    if write.traces:
        yield write.traces.organization
    if write.decision:
        yield write.decision.organization
    if write.checks:
        for parameters in (step.parameters for steps in (write.checks, write.calls) for step in steps):
            if isinstance(number := parameters.get("organization"), int):
                yield number


_METERING = frozenset(
    {"charge_meter", "mark_meter", "add_to_meters", "release_meters", "delete_reservation", "free_reservation"}
)
_CHANGING = frozenset({"set_agent_status", "insert_policy", "change_policy", "delete_policy"})


def metered_by(write: Write) -> Iterable[int]:
    """The organizations whose meters a write counts in, whatever becomes of its traces."""
    return {
        number
        for steps in (write.charges, write.calls, [telling.mark for telling in write.tellings])
        for step in steps
        if step.statement in _METERING and isinstance(number := step.parameters["organization"], int)
    }


def _changed_by(write: Write) -> Iterable[int]:
    """The organizations that a write changes while it rests on them."""
    return {
        number
        for step in write.calls
        if write.checks and step.statement in _CHANGING and isinstance(number := step.parameters["organization"], int)
    }


def _trace_key_of(row: tuple[Any, ...]) -> tuple[int, int]:
    return row[2], row[3]
