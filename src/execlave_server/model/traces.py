"""A trace: one record of one step, as the SDK sends it and as the store keeps it."""

import hashlib
import zlib
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Raw, Struct

from execlave_server.model.json_bytes import canonical_json

TRACES_PER_BATCH_MAX = 1_000  # what one intake request takes; a batch is the unit of export
BATCH_BYTES_MAX = 4_000_000  # of logs; leaves room under the intake's 5 MB for what each destination adds
ITEM_COMPRESS_OVER_BYTES = 2_048  # below this, compression costs more than the page it saves
ID_CHARS_MAX = 256
KEY_BYTES = 8  # 64 bits: two traces of one organization meet by chance once in 4 billion
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_MS_FROM = 100_000_000_000  # as seconds this is the year 5138, as milliseconds 1973


class TraceStatus(StrEnum):
    """How a step ended. The order is stored as small integers: append only."""

    SUCCESS = "success"
    ERROR = "error"
    TIMEOUT = "timeout"
    POLICY_BLOCKED = "policy_blocked"
    LIMIT_EXCEEDED = "limit_exceeded"
    FLAGGED_FOR_REVIEW = "flagged_for_review"
    EFFECT_UNCONFIRMED = "effect_unconfirmed"

    @property
    def code(self) -> int:
        """The small integer the store keeps."""
        return _STATUS_CODES[self]


_STATUS_CODES = {status: code for code, status in enumerate(TraceStatus)}
ERROR_CODES = frozenset({TraceStatus.ERROR.code, TraceStatus.TIMEOUT.code})
VIOLATION_CODES = frozenset({
    TraceStatus.POLICY_BLOCKED.code, TraceStatus.LIMIT_EXCEEDED.code, TraceStatus.FLAGGED_FOR_REVIEW.code,
})  # fmt: skip


class SpanFacts(Struct, rename="camel"):
    """What the SDK puts of a span into `metadata`, which is the caller's own: anything may stand there."""

    span_id: Any = None
    parent_span_id: Any = None
    span_kind: Any = None
    span_name: Any = None
    tool_name: Any = None
    trace_id: Any = None
    enforcement: Raw = Raw(b"")


Identifier = Annotated[str, Meta(min_length=1, max_length=ID_CHARS_MAX)]


class TraceItem(Struct, rename="camel"):
    """One item of `traces[]`, as the SDKs send it. Unknown keys are kept in the stored item, not read here."""

    trace_id: Identifier
    status: TraceStatus
    agent_id: Annotated[str, Meta(max_length=ID_CHARS_MAX)] | None = None
    session_id: str | int | None = None
    user_id: str | int | None = None
    timestamp: datetime | int | float | None = None
    duration_ms: int | float | None = None
    model_name: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cost_usd: int | float | None = None
    estimated_cost_usd: int | float | None = None
    error_type: str | None = None
    error_message: str | None = None
    environment: str | None = None
    tags: list[Any] | None = None
    metadata: SpanFacts | None = None
    parent_trace_id: str | None = None
    span_type: str | None = None
    span_name: str | None = None
    effect_evidence: Any = None
    agent_credential: Any = None

    @property
    def has_effect_evidence(self) -> bool:
        """True where the effect was read back or reported by its target, with something to find it by."""
        said = self.effect_evidence
        if not isinstance(said, dict) or said.get("basis") not in {"read_back", "callback"}:
            return False
        return bool(said.get("effectRef") or said.get("acknowledgementId"))

    @property
    def given_span_id(self) -> str | None:
        """`metadata.spanId`, where the SDK puts it; None for an item that is no span."""
        return _text(self.metadata.span_id) if self.metadata else None

    @property
    def given_parent_span_id(self) -> str | None:
        """`metadata.parentSpanId`."""
        return _text(self.metadata.parent_span_id) if self.metadata else None

    @property
    def given_span_type(self) -> str | None:
        """`spanType`, or else `metadata.spanKind`."""
        return self.span_type or (_text(self.metadata.span_kind) if self.metadata else None)

    @property
    def given_span_name(self) -> str | None:
        """`metadata.spanName`, or else `spanName` as the OTLP adapter writes it."""
        return (_text(self.metadata.span_name) if self.metadata else None) or self.span_name

    @property
    def used_tool(self) -> str | None:
        """`metadata.toolName`, or the name of a span that is a tool's."""
        named = _text(self.metadata.tool_name) if self.metadata else None
        return named or (self.given_span_name if self.given_span_type == "tool" else None)

    @property
    def summed_tokens(self) -> int | None:
        """`totalTokens`, or the sum of the two where it is absent."""
        if self.total_tokens is not None or (self.prompt_tokens is None and self.completion_tokens is None):
            return self.total_tokens
        return (self.prompt_tokens or 0) + (self.completion_tokens or 0)

    @property
    def occurred_at_ms(self) -> int | None:
        """The client's timestamp in epoch milliseconds, or None.

        Numbers are epoch milliseconds, or seconds when they are too small for that; a time without a zone is UTC.
        """
        stamp = self.timestamp
        if stamp is None:
            return None
        if isinstance(stamp, datetime):
            since = (stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)) - EPOCH
            return (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000
        return int(stamp if abs(stamp) >= EPOCH_MS_FROM else stamp * 1_000)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


class NewTrace(Struct, frozen=True, gc=False):
    """A trace ready to commit.

    `log` is the middle of its Datadog log; `item` what the client sent, packed; `leaf` the hash of its record under
    `salt`, for the batch's tree. `cost_nano_usd` is what it cost, as far as that is known.
    """

    trace_id: str
    span_id: str
    trace_key: int
    span_key: int
    status: int
    agent: str
    environment: str
    span_type: str
    occurred_at_ms: int
    log: bytes
    item: bytes
    salt: bytes
    leaf: bytes
    cost_nano_usd: int | None = None


class TraceOutcome(StrEnum):
    """What became of a trace handed to the store; every one ends in exactly one of these."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


class Identity(NamedTuple):
    """(organization, trace id, span id) as 64-bit keys, the same on every machine.

    `delivery_key` is both as 32 hexadecimal digits: a log sent twice carries it twice.
    """

    trace_key: int
    span_key: int
    delivery_key: str


def identify(organization_id: str, trace_id: str, span_id: str) -> Identity:
    """The keys of a trace."""
    trace_key, trace_hex = _trace_key(organization_id, trace_id)
    span = hashlib.blake2b(span_id.encode(), digest_size=KEY_BYTES).digest()
    return Identity(trace_key, int.from_bytes(span, "big", signed=True), trace_hex + span.hex())


@lru_cache(maxsize=TRACES_PER_BATCH_MAX)
def _trace_key(organization_id: str, trace_id: str) -> tuple[int, str]:
    """The spans of a trace come together, so the same one is asked for again and again."""
    trace = hashlib.blake2b(f"{organization_id}\x00{trace_id}".encode(), digest_size=KEY_BYTES).digest()
    return int.from_bytes(trace, "big", signed=True), trace.hex()


def pack_item(item: bytes) -> bytes:
    """Compress an item where that pays. JSON starts with `{`, a zlib stream never does."""
    return item if len(item) <= ITEM_COMPRESS_OVER_BYTES else zlib.compress(item, 1)


def unpack_item(packed: bytes) -> bytes:
    """The item as the client sent it."""
    return packed if packed[:1] == b"{" else zlib.decompress(packed)


def is_same_item(stored: bytes, sent: bytes) -> bool:
    """True when two packed items say the same, whatever the order of their keys."""
    if stored == sent:
        return True
    try:
        return canonical_json(unpack_item(stored)) == canonical_json(unpack_item(sent))
    except (msgspec.MsgspecError, RecursionError):
        return False
