"""Rows of traces, decisions and event logs as they are now, and the records they make: what leaves are held against."""

import zlib
from typing import Any

import msgspec
from msgspec import Struct

from execlave_server.audit.canonical import NANO, nano_usd, ordered_json
from execlave_server.audit.event_logs import leaf_of_event
from execlave_server.audit.records import (
    DecisionRecord,
    LeafRecord,
    MatchedPolicy,
    TraceContent,
    TraceRecord,
    decision_content,
    leaf_of,
    trace_content,
)
from execlave_server.model.traces import TraceStatus, identify, unpack_item

ERASED_ITEM = b'{"erased":true}'
ERASED_VIOLATIONS = "[]"
_STATUSES = list(TraceStatus)  # by their stored codes
_UNREADABLE = (msgspec.MsgspecError, zlib.error, ValueError, TypeError, ArithmeticError, IndexError, RecursionError)


class _Ours(Struct):
    decision_id: str | None = None


class _Log(Struct):
    cost_usd: int | float | None = None
    execlave: _Ours | None = None


class _Item(Struct, rename="camel"):
    user_id: Any = None


_read_log = msgspec.json.Decoder(_Log).decode
_read_item = msgspec.json.Decoder(_Item).decode
_read_trace_record = msgspec.json.Decoder(TraceRecord).decode
_read_decision_record = msgspec.json.Decoder(DecisionRecord).decode
_read_policies = msgspec.json.Decoder(tuple[MatchedPolicy, ...]).decode


class StoredTrace(Struct, frozen=True):
    """A row of traces, its labels as texts. `is_placed` says that what the engine derives from its id agrees."""

    id: int
    organization: int
    batch: int
    is_placed: bool
    trace_key: int
    span_key: int
    status: int
    agent: str | None
    environment: str | None
    span_type: str | None
    occurred_at_ms: int
    trace_id: str
    span_id: str
    log: bytes
    item: bytes
    salt: bytes | None
    erased: str | None

    def record(self, organization_id: str) -> TraceRecord:
        """What it says now. Raises one of many errors where it says nothing that could have been recorded."""
        if self.erased is not None:
            return _read_trace_record(self.erased)
        if self.agent is None or self.environment is None or self.span_type is None or self.salt is None:
            raise ValueError("a label or the salt is not there")
        log = _read_log(b"{%b}}" % self.log)
        return TraceRecord(
            agent=self.agent,
            content=trace_content(self.salt, unpack_item(self.item), self.log),
            cost_nano_usd=nano_usd(log.cost_usd),
            decision_id=log.execlave.decision_id if log.execlave else None,
            environment=self.environment,
            occurred_at_ms=self.occurred_at_ms,
            organization=organization_id,
            span_id=self.span_id,
            span_type=self.span_type,
            status=_STATUSES[self.status],
            trace_id=self.trace_id,
        )

    def erased_record(self, organization_id: str) -> TraceRecord:
        """The record to leave when its content goes; of a trace from before there were salts, one without digests."""
        if self.salt is not None:
            return self.record(organization_id)
        nothing = msgspec.structs.replace(self, salt=b"", item=ERASED_ITEM)
        return msgspec.structs.replace(nothing.record(organization_id), content=TraceContent("", ""))

    def leaf(self, organization_id: str, organization: int, batch: int) -> bytes | None:
        """The leaf it makes in this place, or None where no leaf could be of it."""
        try:
            record = self.record(organization_id)
            if (self.organization, self.batch, self.is_placed) != (organization, batch, True):
                return None
            return leaf_of(record) if self._agrees_with(record) else None
        except _UNREADABLE:
            return None

    def _agrees_with(self, record: TraceRecord) -> bool:
        """What is stored beside the record says the same: the keys, and of an erased trace everything."""
        identity = identify(record.organization, record.trace_id, record.span_id)
        if (self.trace_key, self.span_key) != (identity.trace_key, identity.span_key):
            return False
        if self.erased is None:
            return True
        columns = (self.agent, self.environment, self.span_type, self.occurred_at_ms, self.trace_id, self.span_id)
        recorded = (
            record.agent,
            record.environment,
            record.span_type,
            record.occurred_at_ms,
            record.trace_id,
            record.span_id,
        )
        content = (self.log, self.item, self.salt) == (erased_log(record), ERASED_ITEM, None)
        status = _STATUSES[self.status] == record.status
        return columns == recorded and content and status and self.erased == ordered_json(record).decode()

    @property
    def user_id(self) -> str | None:
        """The user that the item names."""
        try:
            named = _read_item(unpack_item(self.item)).user_id
        except _UNREADABLE:
            return None
        return None if named is None else str(named)


class StoredDecision(Struct, frozen=True):
    """A row of decisions."""

    id: str
    organization: int
    batch: int | None
    position: int | None
    api_key: str
    agent: str | None
    agent_reference: str | None
    environment: str | None
    outcome: str
    violations: str
    policies: str
    approval: str | None
    client: str | None
    action_digest: str
    trace_id: str | None
    decided_at_us: int
    latency_us: int
    salt: bytes | None
    erased: str | None

    def record(self, organization_id: str) -> DecisionRecord:
        """What it says now. Raises one of many errors where it says nothing that could have been recorded."""
        content = decision_content(self.salt or b"", self.action_digest, self.violations)
        if self.erased is not None:
            content = _read_decision_record(self.erased).content
        elif self.salt is None:
            raise ValueError("the salt is not there")
        policies = _read_policies(self.policies)
        if msgspec.json.encode(policies).decode() != self.policies:
            raise ValueError("the policies are written differently")
        return DecisionRecord(
            agent=self.agent,
            agent_reference=self.agent_reference,
            api_key=self.api_key,
            approval=self.approval,
            client=self.client,
            content=content,
            decided_at_us=self.decided_at_us,
            decision_id=self.id,
            environment=self.environment,
            latency_us=self.latency_us,
            organization=organization_id,
            outcome=self.outcome,
            policies=policies,
            trace_id=self.trace_id,
        )

    def leaf(self, organization_id: str, organization: int) -> bytes | None:
        """The leaf it makes, or None where no leaf could be of it."""
        try:
            record = self.record(organization_id)
        except _UNREADABLE:
            return None
        if self.organization != organization:
            return None
        left = (self.action_digest, self.violations, self.salt, self.erased)
        if self.erased is not None and left != ("", ERASED_VIOLATIONS, None, erased_text(record)):
            return None
        return leaf_of(record)


class StoredEventLog(Struct, frozen=True):
    """A row of event_logs."""

    batch: int
    position: int
    organization: int
    seq: int
    occurred_at_ms: int
    log: bytes

    def leaf(self, organization_id: str, organization: int) -> bytes | None:
        """The leaf it makes, or None for a row of another organization."""
        if self.organization != organization:
            return None
        return leaf_of_event(organization_id, self.seq, self.occurred_at_ms, self.log)


def erased_text(record: LeafRecord) -> str:
    """A record as it stays when its content goes."""
    return ordered_json(record).decode()


def erased_log(record: TraceRecord) -> bytes:
    """The middle of the log of a trace whose content is gone: what its record says in clear."""
    identity = identify(record.organization, record.trace_id, record.span_id)
    log = {
        "message": f"erased trace {record.status}",
        "trace_id": record.trace_id,
        "organization_id": record.organization,
        "agent_id": record.agent,
        "status": record.status,
        "cost_usd": None if record.cost_nano_usd is None else record.cost_nano_usd / NANO,
        "environment": record.environment,
        "span_type": record.span_type,
    }
    ours = {
        "status": record.status,
        "trace_id": record.trace_id,
        "span_id": record.span_id,
        "delivery_key": identity.delivery_key,
        "decision_id": record.decision_id,
        "erased": True,
    }
    kept = {name: value for name, value in log.items() if value not in {None, ""}}
    kept["execlave"] = {name: value for name, value in ours.items() if value is not None}  # type: ignore[assignment]
    return msgspec.json.encode(kept)[1:-2]
