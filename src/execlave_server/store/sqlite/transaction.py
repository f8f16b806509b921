"""What happens inside one SQLite transaction: calls, checks, and traces made into batches."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain

import apsw

from execlave_server.model.traces import NewTrace, TraceOutcome
from execlave_server.store.batches import Acceptance, Label, PlannedBatch, TraceKey, event_batches
from execlave_server.store.chains import Chains, events_of, head_from
from execlave_server.store.protocol import Call, Check, NewEvent, Parameters, Row, Traces, Value, Write, integer
from execlave_server.store.sqlite.recent_keys import BUCKET_BITS, RECENT_BUCKETS, RecentKeys
from execlave_server.store.statements import Statement

ROWS_PER_STEP = 64  # each step gives the interpreter lock away; a larger statement gained nothing when measured
_LOOK_BACK_BUCKETS = 2 * RECENT_BUCKETS + 1  # as far as RecentKeys can remember


class Transaction:
    """The writes of one transaction. Nothing here commits; `new_keys` and `new_labels` are true only if it does."""

    def __init__(
        self,
        connection: apsw.Connection,
        statements: Mapping[str, Statement],
        recent: RecentKeys,
        labels: Mapping[Label, int],
        now_us: int,
    ) -> None:
        self._connection = connection
        self._statements = statements
        self._labels = labels
        self._now_us = now_us
        # Without a way back to this object: a cycle would keep every trace until the collector stops the server for it.
        self._acceptance = Acceptance(recent, partial(_stored, connection, statements["stored_item"].sql))
        self._events: list[NewEvent] = []
        self.new_labels: dict[Label, int] = {}

    @property
    def new_keys(self) -> set[TraceKey]:
        """The keys of the traces this transaction stores."""
        return self._acceptance.keys

    def call(self, call: Call) -> list[Row]:
        """Run one statement; its rows."""
        return self._rows(call.statement, call.parameters)

    def holds(self, check: Check) -> bool:
        """True when a check's first row is the expected one."""
        rows = self._rows(check.statement, check.parameters)
        return (rows[0] if rows else None) == check.expected

    def charge(self, charges: Sequence[Call]) -> bool:
        """Run statements that must each return a row; False, and nothing of them, where one does not."""
        if not charges:
            return True
        self._connection.execute("savepoint charges")
        taken = all(self.call(charge) for charge in charges)
        self._connection.execute("release charges" if taken else "rollback to charges")
        return taken

    def accept(self, traces: Traces) -> list[TraceOutcome]:
        """Take traces into the organization's next batch, but for those that are stored already."""
        return self._acceptance.accept(traces)

    def record(self, write: Write, rows: Sequence[Sequence[Row]]) -> None:
        """Take in what a write adds to the audit chain; `rows` are what its calls returned."""
        if write.decision:
            self._acceptance.record(write.decision)
        self._events += events_of(write, rows)
        self._events += [telling.event for telling in write.tellings if self.call(telling.mark)]

    def store_accepted(self) -> None:
        """Write what was taken in: each batch with its outbox rows, then the entries of the audit chains.

        Events that are streamed are a batch of their own, behind their entries.
        """
        organizations = self._acceptance.organizations | {new.organization for new in self._events}
        if not organizations:
            return
        heads = {number: self._rows("lock_audit_head", {"organization": number})[0] for number in sorted(organizations)}
        chains = Chains((number, head_from(row)) for number, row in heads.items())
        newest = integer(self._rows("newest_trace", {})[0][0] or 0)
        for planned in self._acceptance.batches(newest + 1):
            self._store_batch(planned, chains)
        for new in self._events:
            chains.tell(new)
        streamed = {
            number: logs
            for number, logs in chains.streamed.items()
            if self._rows("takes_events", {"organization": number})
        }
        for planned in event_batches(streamed, newest + self._acceptance.count + 1):
            self._store_batch(planned, chains)
        for entry in chains.entries:
            self._rows("insert_audit_entry", entry)
        for head in chains.heads():
            self._rows("move_audit_head", head)

    def _store_batch(self, planned: PlannedBatch, chains: Chains) -> None:
        batch = integer(self._rows("next_batch", {})[0][0])
        entry = chains.append(planned.organization, planned.root_event(batch, self._now_us))
        self._rows("insert_batch", planned.row(entry, batch, self._now_us))
        rows = self._trace_rows(planned.organization, batch, planned.traces, planned.first_id)
        self._insert_rows("insert_traces", rows)
        for row in planned.decision_rows(batch):
            self._rows("insert_decision", row)
        for row in planned.event_rows(batch):
            self._rows("insert_event_log", row)
        if planned.log_count:
            self._rows("insert_outbox", planned.outbox_rows(batch, self._now_us))
        for event in planned.decision_events(self._now_us):
            chains.append(planned.organization, event)

    def _trace_rows(
        self, organization: int, batch: int, traces: Sequence[NewTrace], first_id: int
    ) -> list[tuple[Value, ...]]:
        kinds = ("span_type", "agent", "environment")
        texts = {(trace.span_type, trace.agent, trace.environment) for trace in traces}
        labels = {
            each: [self._label(organization, *named) for named in zip(kinds, each, strict=True)] for each in texts
        }
        return [
            (
                row_id,
                row_id >> BUCKET_BITS,
                trace.trace_key,
                trace.span_key,
                organization,
                batch,
                trace.status,
                *labels[trace.span_type, trace.agent, trace.environment],
                trace.occurred_at_ms,
                trace.trace_id,
                trace.span_id,
                trace.log,
                trace.item,
                trace.salt,
            )
            for row_id, trace in enumerate(traces, start=first_id)
        ]

    def _label(self, organization: int, kind: str, value: str) -> int:
        label = (organization, kind, value)
        number = self._labels.get(label) or self.new_labels.get(label)
        if number is None:
            parameters: dict[str, Value] = {"organization": organization, "kind": kind, "value": value}
            rows = self._rows("find_label", parameters) or self._rows("insert_label", parameters)
            number = integer(rows[0][0])
            self.new_labels[label] = number
        return number

    def _rows(self, statement: str, parameters: Parameters) -> list[Row]:
        return list(self._connection.execute(self._statements[statement].sql, parameters))

    def _insert_rows(self, name: str, rows: Sequence[tuple[Value, ...]]) -> None:
        statement = self._statements[name]
        whole = len(rows) - len(rows) % ROWS_PER_STEP
        for start in range(0, whole, ROWS_PER_STEP):
            step = rows[start : start + ROWS_PER_STEP]
            self._connection.execute(statement.for_rows(ROWS_PER_STEP), tuple(chain.from_iterable(step)))
        single = statement.for_rows(1)
        for row in rows[whole:]:
            self._connection.execute(single, row)


def _stored(connection: apsw.Connection, sql: str, trace: NewTrace) -> Row | None:
    wanted = {"buckets": _LOOK_BACK_BUCKETS, "trace_key": trace.trace_key, "span_key": trace.span_key}
    return next(connection.execute(sql, wanted), None)
