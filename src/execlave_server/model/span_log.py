"""The middle of a trace's log, read again: what pages and incidents say of a trace without touching its content."""

import msgspec
from msgspec import Struct


class SpanGovernance(Struct, frozen=True):
    """What stands under `execlave`."""

    parent_span_id: str | None = None
    unregistered: bool = False
    erased: bool = False
    cost_source: str | None = None
    reported_status: str | None = None
    decision_id: str | None = None
    enforcement_mode: str | None = None
    policy_ids: tuple[str, ...] = ()
    policy_types: tuple[str, ...] = ()
    rule_ids: tuple[str, ...] = ()
    severity: str | None = None
    tags: tuple[str, ...] = ()
    credential: str | None = None


class SpanLog(Struct, frozen=True):
    """What the log says, as far as it is shown."""

    message: str = ""
    trace_id: str = ""
    parent_trace_id: str | None = None
    agent_id: str | None = None
    agent_name: str | None = None
    autonomy_level: str | None = None
    agent_status: str | None = None
    idp_bound: bool | None = None
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cost_usd: float | None = None
    duration_ms: float | None = None
    environment: str | None = None
    span_type: str | None = None
    span_name: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    execlave: SpanGovernance = SpanGovernance()


_decode = msgspec.json.Decoder(SpanLog).decode
UNREADABLE = SpanLog()


def read_span_log(middle: bytes) -> SpanLog:
    """The stored middle of a log (see `datadog.logs.log_middle`); one that was tampered with reads as empty."""
    try:
        return _decode(b"{%b}}" % middle)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return UNREADABLE
