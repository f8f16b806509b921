"""What a transaction makes of the traces and decisions handed to it, on every engine: outcomes, batches, rows. Pure."""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias, TypeVar

from execlave_server.audit.chain import Entry, Event
from execlave_server.audit.changes import SERVER
from execlave_server.audit.event_logs import EventLog
from execlave_server.audit.events import BatchRoot, DecisionRecorded, Kind
from execlave_server.audit.merkle import root
from execlave_server.model.traces import (
    BATCH_BYTES_MAX,
    ERROR_CODES,
    TRACES_PER_BATCH_MAX,
    VIOLATION_CODES,
    NewTrace,
    TraceOutcome,
    is_same_item,
)
from execlave_server.store.protocol import NewDecision, Parameters, Row, Traces

Logged = TypeVar("Logged", NewTrace, EventLog)
TraceKey: TypeAlias = int
Label: TypeAlias = tuple[int, str, str]
"""(organization, kind, text): a text that repeats in traces, stored there as its number."""

RECENT_TRACES_MIN = 262_144  # how many of the newest traces a retry is recognised among
LABELS_REMEMBERED = 100_000  # their texts come from clients


def key_of(trace_key: int, span_key: int) -> TraceKey:
    """A trace's two keys in one number: the collector of garbage walks tuples, but no numbers."""
    return trace_key << 64 | span_key & 0xFFFF_FFFF_FFFF_FFFF


class Acceptance:
    """Takes the traces of one transaction in, but for those that are stored already.

    `known` holds at least the keys of recent traces that are stored; `stored` returns (organization, trace_id,
    span_id, item) of the one with a trace's keys, or None where there is none after all.
    """

    def __init__(self, known: Container[TraceKey], stored: Callable[[NewTrace], Row | None]) -> None:
        self._known = known
        self._stored = stored
        self._by_organization: dict[int, list[NewTrace]] = {}
        self._by_key: dict[TraceKey, tuple[int, NewTrace]] = {}
        self._decisions: dict[int, list[NewDecision]] = {}

    @property
    def keys(self) -> set[TraceKey]:
        """The keys of the traces taken in."""
        return set(self._by_key)

    @property
    def count(self) -> int:
        """How many traces were taken in."""
        return len(self._by_key)

    def accept(self, traces: Traces) -> list[TraceOutcome]:
        """What becomes of each trace, in order; the new ones are taken in."""
        taken = self._by_organization.setdefault(traces.organization, [])
        return [self._accept_one(traces.organization, trace, taken) for trace in traces.items]

    def _accept_one(self, organization: int, trace: NewTrace, taken: list[NewTrace]) -> TraceOutcome:
        key = key_of(trace.trace_key, trace.span_key)
        twin = self._by_key.get(key)
        if twin is not None:
            of, first = twin
            return _compare((of, first.trace_id, first.span_id, first.item), organization, trace)
        if key in self._known and (stored := self._stored(trace)) is not None:
            return _compare(stored, organization, trace)
        taken.append(trace)
        self._by_key[key] = organization, trace
        return TraceOutcome.STORED

    @property
    def organizations(self) -> set[int]:
        """Whose batches there will be."""
        return {number for number, traces in self._by_organization.items() if traces} | self._decisions.keys()

    def record(self, decision: NewDecision) -> None:
        """Take a decision into the organization's last batch, or into one without traces."""
        self._decisions.setdefault(decision.organization, []).append(decision)

    def batches(self, first_id: int) -> Iterator["PlannedBatch"]:
        """The batches to write, by organization, their traces numbered from `first_id` without a gap."""
        for organization in sorted(self._by_organization.keys() | self._decisions.keys()):
            batches = list(split_batches(self._by_organization.get(organization, ())))
            decisions = self._decisions.get(organization, [])
            if decisions and not batches:
                batches = [[]]
            for number, batch in enumerate(batches, start=1):
                yield PlannedBatch(organization, batch, first_id, decisions if number == len(batches) else ())
                first_id += len(batch)


@dataclass(frozen=True)
class PlannedBatch:
    """The traces and decisions of one organization that become a batch, or the logs of its events.

    The first trace has the id `first_id`, each next one more; a batch without traces ends before it begins.
    """

    organization: int
    traces: Sequence[NewTrace]
    first_id: int
    decisions: Sequence[NewDecision] = ()
    events: Sequence[EventLog] = ()

    @cached_property
    def leaves(self) -> list[bytes]:
        """The leaves of its tree: traces in order, then decisions, then the logs of events."""
        return [each.leaf for part in (self.traces, self.decisions, self.events) for each in part]

    @property
    def log_count(self) -> int:
        """How many logs it has for a destination."""
        return len(self.traces) + len(self.events)

    def row(self, entry: Entry, batch: int, now_us: int) -> Parameters:
        """What `insert_batch` takes; `entry` is the one with the root."""
        return {
            "id": batch,
            "organization": self.organization,
            "first_trace": self.first_id,
            "last_trace": self.first_id + len(self.traces) - 1,
            "trace_count": len(self.traces),
            "decision_count": len(self.decisions),
            "event_count": len(self.events),
            "log_bytes": sum(len(each.log) for part in (self.traces, self.events) for each in part),
            "leaves": b"".join(self.leaves),
            "audit_seq": entry.seq,
            "audit_hash": entry.hash,
            "errors": sum(trace.status in ERROR_CODES for trace in self.traces),
            "violations": sum(trace.status in VIOLATION_CODES for trace in self.traces),
            "now_us": now_us,
        }

    def decision_rows(self, batch: int) -> Iterator[Parameters]:
        """What `insert_decision` takes, for each."""
        for position, decision in enumerate(self.decisions):
            yield {**decision.row, "batch": batch, "position": position}

    def decision_events(self, now_us: int) -> Iterator[Event]:
        """The entries of the chain for decisions that are not plain allows."""
        for decision in self.decisions:
            if decision.is_plain_allow:
                continue
            row = decision.row
            agent = row["agent"]
            details = DecisionRecorded(
                agent=None if agent is None else str(agent),
                decision=str(row["id"]),
                leaf=decision.leaf.hex(),
                outcome=str(row["outcome"]),
            )
            actor = "key:" + str(row["api_key"])
            yield Event(Kind.DECISION_RECORDED, now_us, actor, f"decision:{details.decision}", details)

    def event_rows(self, batch: int) -> Iterator[Parameters]:
        """What `insert_event_log` takes, for each."""
        for position, event in enumerate(self.events):
            yield {
                "batch": batch,
                "position": position,
                "organization": self.organization,
                "seq": event.seq,
                "occurred_at_ms": event.occurred_at_ms,
                "log": event.log,
            }

    def root_event(self, batch: int, now_us: int) -> Event:
        """The entry of the chain that this batch becomes."""
        details = BatchRoot(
            batch=batch,
            decisions=len(self.decisions),
            events=len(self.events),
            leaves=len(self.leaves),
            root=root(self.leaves).hex(),
            traces=len(self.traces),
        )
        return Event(Kind.BATCH_ROOT, now_us, SERVER, f"batch:{batch}", details)

    def outbox_rows(self, batch: int, now_us: int) -> Parameters:
        """What `insert_outbox` takes, once the batch has its number."""
        return {
            "organization": self.organization,
            "batch": batch,
            "log_count": self.log_count,
            "now_us": now_us,
        }

    def labels(self) -> set[Label]:
        """The texts that its traces' rows refer to by number."""
        organization = self.organization
        return {
            label
            for trace in self.traces
            for label in (
                (organization, "span_type", trace.span_type),
                (organization, "agent", trace.agent),
                (organization, "environment", trace.environment),
            )
        }


def event_batches(streamed: Mapping[int, Sequence[EventLog]], first_id: int) -> Iterator[PlannedBatch]:
    """The batches of events to write after those of traces and decisions, by organization."""
    for organization, logs in sorted(streamed.items()):
        for batch in split_batches(logs):
            yield PlannedBatch(organization, (), first_id, events=batch)


def split_batches(logged: Sequence[Logged]) -> Iterator[list[Logged]]:
    """Traces or events in order, in batches within the limits of count and bytes."""
    batch: list[Logged] = []
    size = 0
    for each in logged:
        if batch and (len(batch) == TRACES_PER_BATCH_MAX or size + len(each.log) > BATCH_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(each)
        size += len(each.log)
    if batch:
        yield batch


def remember_labels(labels: dict[Label, int], new: Mapping[Label, int]) -> None:
    """Keep the numbers of labels whose transaction is committed, within a limit."""
    if len(labels) > LABELS_REMEMBERED:
        labels.clear()
    labels |= new


def _compare(stored: Row, organization: int, trace: NewTrace) -> TraceOutcome:
    *identity, item = stored
    same = identity == [organization, trace.trace_id, trace.span_id]
    if same and isinstance(item, bytes) and is_same_item(item, trace.item):
        return TraceOutcome.DUPLICATE
    return TraceOutcome.CONFLICT
