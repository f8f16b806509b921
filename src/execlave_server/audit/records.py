"""The leaves of a batch's tree: what of a trace or a decision stands in clear, and what as salted digests.

`erase` deletes content and salt together. The record with its digests stays, so that every proof still verifies, and
nobody can find out what the content was by trying. Each struct declares its fields in sorted order: that order is
the canonical one.
"""

from hashlib import sha256

from msgspec import Struct

from execlave_server.audit.canonical import RecordKind, ordered_json, salted_digest
from execlave_server.audit.merkle import LEAF_PREFIX


class TraceContent(Struct, frozen=True, gc=False):
    """Digests of what a trace says.

    `item` is what the client sent, byte for byte but for what a policy masked in its output (input, output and metadata
    stand in it); `log` is the middle of its Datadog log (user and session ids stand in it, prompts never). One can be
    shown without the other.
    """

    item: str
    log: str


class TraceRecord(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The small facts of a trace. `agent`, `environment` and `span_type` are as sent, empty where absent."""

    agent: str
    content: TraceContent
    cost_nano_usd: int | None = None
    decision_id: str | None = None
    environment: str
    occurred_at_ms: int
    organization: str
    span_id: str
    span_type: str
    status: str
    trace_id: str


class MatchedPolicy(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A policy that had a say in a decision: which version, in which mode, by which rule."""

    mode: str
    policy: str
    rule: str | None = None
    version: int


class DecisionContent(Struct, frozen=True):
    """Digests of what a decision says.

    `action` is the digest of the action context (unsalted, it would betray a short input to whoever tries a few);
    `violations` is the JSON text as stored.
    """

    action: str
    violations: str


class DecisionRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The small facts of a decision. `agent` is the server's id of it, `agent_reference` what the caller named."""

    agent: str | None = None
    agent_reference: str | None = None
    api_key: str
    approval: str | None = None
    client: str | None = None
    content: DecisionContent
    decided_at_us: int
    decision_id: str
    environment: str | None = None
    latency_us: int
    organization: str
    outcome: str
    policies: tuple[MatchedPolicy, ...] = ()
    trace_id: str | None = None


class EventRecord(Struct, frozen=True, kw_only=True):
    """The log of a governance event: which entry of the chain it tells, and the SHA-256 of its middle as stored."""

    entry: int
    log: str
    occurred_at_ms: int
    organization: str


LeafRecord = TraceRecord | DecisionRecord


def trace_content(salt: bytes, item: bytes, log: bytes) -> TraceContent:
    """The digests of a trace: `item` unpacked, `log` as stored."""
    return TraceContent(salted_digest(salt, b"item", item), salted_digest(salt, b"log", log))


def decision_content(salt: bytes, action_digest: str, violations: str) -> DecisionContent:
    """The digests of a decision; both arguments as stored."""
    return DecisionContent(
        salted_digest(salt, b"action", action_digest.encode()),
        salted_digest(salt, b"violations", violations.encode()),
    )


def leaf_of(record: LeafRecord | EventRecord) -> bytes:
    """The leaf hash of a record, 32 bytes: what its batch's tree is made of."""
    return sha256(_LEAF_STARTS[type(record)] + ordered_json(record)).digest()


# What the RFC puts before a leaf, then kind and version: put together once, since every trace needs it.
_LEAF_STARTS: dict[type[LeafRecord | EventRecord], bytes] = {
    TraceRecord: LEAF_PREFIX + RecordKind.TRACE.header,
    DecisionRecord: LEAF_PREFIX + RecordKind.DECISION.header,
    EventRecord: LEAF_PREFIX + RecordKind.EVENT.header,
}
