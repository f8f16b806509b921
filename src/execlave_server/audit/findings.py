from enum import StrEnum

from msgspec import Struct


class Code(StrEnum):
    """What a verification may find; stable."""

    ENTRY_CHANGED = "entry.changed"
    ENTRY_MISSING = "entry.missing"
    ENTRY_REPEATED = "entry.repeated"
    ENTRY_UNREADABLE = "entry.unreadable"
    CHAIN_BROKEN = "chain.broken"
    CHAIN_CUT = "chain.cut"
    HEAD_MISMATCH = "head.mismatch"
    HEAD_SIGNATURE = "head.signature"
    LOG_MISMATCH = "log.mismatch"
    LOG_MISSING = "log.trace_missing"
    BATCH_CHANGED = "batch.changed"
    BATCH_MISSING = "batch.missing"
    BATCH_UNANCHORED = "batch.unanchored"
    BATCH_REMAINS = "batch.remains"
    TRACE_CHANGED = "trace.changed"
    TRACE_MISSING = "trace.missing"
    TRACE_ADDED = "trace.added"
    DECISION_CHANGED = "decision.changed"
    DECISION_MISSING = "decision.missing"
    DECISION_ADDED = "decision.added"
    EVENT_CHANGED = "event.changed"
    EVENT_MISSING = "event.missing"
    EVENT_ADDED = "event.added"
    SWEEP_MISMATCH = "sweep.mismatch"


class Finding(Struct, frozen=True):
    """One thing that is not as it was recorded: where it is, what is wrong there, and why that is known."""

    code: Code
    where: str
    what: str
    why: str
