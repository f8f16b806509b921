"""What happens inside one SQLite transaction: calls, checks, and traces made into batches."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain

import apsw

from execlave_server.model.traces import BATCH_BYTES_MAX, TRACES_PER_BATCH_MAX, NewTrace, TraceOutcome, is_same_item
from execlave_server.store.protocol import Call, Check, Parameters, Row, Traces, Value, integer
from execlave_server.store.sqlite.recent_keys import BUCKET_BITS, RECENT_BUCKETS, RecentKeys, TraceKey
from execlave_server.store.statements import Statement

ROWS_PER_STEP = 64  # each step gives the interpreter lock away; a larger statement gained nothing when measured
_LOOK_BACK_BUCKETS = 2 * RECENT_BUCKETS + 1  # as far as RecentKeys can remember

Label = tuple[int, str, str]


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
        self._recent = recent
        self._labels = labels
        self._now_us = now_us
        self._accepted: dict[int, list[NewTrace]] = {}
        self._accepted_by_key: dict[TraceKey, tuple[int, NewTrace]] = {}
        self.new_labels: dict[Label, int] = {}

    @property
    def new_keys(self) -> set[TraceKey]:
        """The keys of the traces this transaction stores."""
        return set(self._accepted_by_key)

    def call(self, call: Call) -> list[Row]:
        """Run one statement; its rows."""
        return self._rows(call.statement, call.parameters)

    def holds(self, check: Check) -> bool:
        """True when a check's first row is the expected one."""
        rows = self._rows(check.statement, check.parameters)
        return (rows[0] if rows else None) == check.expected

    def accept(self, traces: Traces) -> list[TraceOutcome]:
        """Take traces into the organization's next batch, but for those that are stored already."""
        batch = self._accepted.setdefault(traces.organization, [])
        return [self._accept_one(traces.organization, trace, batch) for trace in traces.items]

    def _accept_one(self, organization: int, trace: NewTrace, batch: list[NewTrace]) -> TraceOutcome:
        key = (trace.trace_key, trace.span_key)
        accepted = self._accepted_by_key.get(key)
        if accepted is not None:
            of, twin = accepted
            same = (of, twin.trace_id, twin.span_id) == (organization, trace.trace_id, trace.span_id)
            return _outcome(same and is_same_item(twin.item, trace.item))
        if key in self._recent:
            stored = self._rows("stored_item", {"buckets": _LOOK_BACK_BUCKETS, "trace_key": key[0], "span_key": key[1]})
            if stored:
                *identity, item = stored[0]
                same = identity == [organization, trace.trace_id, trace.span_id]
                return _outcome(same and isinstance(item, bytes) and is_same_item(item, trace.item))
        batch.append(trace)
        self._accepted_by_key[key] = organization, trace
        return TraceOutcome.STORED

    def store_accepted(self) -> None:
        """Write the accepted traces: a batch row, its traces, and one outbox row for each collecting destination."""
        next_id = integer(self._rows("newest_trace", {})[0][0] or 0) + 1
        for organization, traces in self._accepted.items():
            for batch in split_batches(traces):
                self._store_batch(organization, batch, next_id)
                next_id += len(batch)

    def _store_batch(self, organization: int, traces: Sequence[NewTrace], first_id: int) -> None:
        described = {
            "organization": organization,
            "first_trace": first_id,
            "last_trace": first_id + len(traces) - 1,
            "trace_count": len(traces),
            "log_bytes": sum(len(trace.log) for trace in traces),
            "now_us": self._now_us,
        }
        batch = integer(self._rows("insert_batch", described)[0][0])
        self._insert_rows("insert_traces", self._trace_rows(organization, batch, traces, first_id))
        self._rows(
            "insert_outbox",
            {"organization": organization, "batch": batch, "log_count": len(traces), "now_us": self._now_us},
        )

    def _trace_rows(
        self, organization: int, batch: int, traces: Iterable[NewTrace], first_id: int
    ) -> list[tuple[Value, ...]]:
        label = partial(self._label, organization)
        return [
            (
                row_id,
                row_id >> BUCKET_BITS,
                trace.trace_key,
                trace.span_key,
                organization,
                batch,
                trace.status,
                label("span_type", trace.span_type),
                label("agent", trace.agent),
                label("environment", trace.environment),
                trace.occurred_at_ms,
                trace.trace_id,
                trace.span_id,
                trace.log,
                trace.item,
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


def split_batches(traces: Sequence[NewTrace]) -> Iterator[list[NewTrace]]:
    """The traces in order, in batches within the limits of count and bytes."""
    batch: list[NewTrace] = []
    size = 0
    for trace in traces:
        if batch and (len(batch) == TRACES_PER_BATCH_MAX or size + len(trace.log) > BATCH_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(trace)
        size += len(trace.log)
    if batch:
        yield batch


def _outcome(same: bool) -> TraceOutcome:  # noqa: FBT001 - the only thing there is to say
    return TraceOutcome.DUPLICATE if same else TraceOutcome.CONFLICT
