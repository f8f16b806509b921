"""From a trace to its Datadog log: the documented keys, absent ones omitted, everything else under `execlave`."""

from typing import Any

import msgspec
from msgspec import Struct

from execlave_server.datadog.mask import mask_name, mask_text
from execlave_server.model.agents import Agent, AgentStatus, AutonomyLevel
from execlave_server.model.traces import TraceItem, TraceStatus, delivery_key

TEXT_CHARS_MAX = 1_024  # facet values end at 1,024 characters
TAGS_MAX = 100  # as many as Datadog keeps
TAG_CHARS_MAX = 200
_CACHED_TEXT_CHARS = 256  # names and common messages repeat; long ones rarely do

HOSTNAME = SOURCE = "execlave"


class ExeclaveFields(Struct, omit_defaults=True):
    """What this server adds, under the one key `execlave`: Datadog consumes `status` and `trace_id` as reserved."""

    status: TraceStatus
    trace_id: str
    span_id: str
    delivery_key: str
    parent_span_id: str | None = None
    unregistered: bool = False
    cost_source: str | None = None
    tags: list[str] | None = None
    truncated_fields: list[str] | None = None


class LogMiddle(Struct, omit_defaults=True):
    """The part of a log that is the same for every destination, made once at commit. `execlave` stays last."""

    message: str
    trace_id: str
    organization_id: str
    status: TraceStatus
    parent_trace_id: str | None = None
    agent_id: str | None = None
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cost_usd: float | None = None
    duration_ms: int | float | None = None
    environment: str | None = None
    span_type: str | None = None
    span_name: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    agent_name: str | None = None
    autonomy_level: AutonomyLevel | None = None
    agent_status: AgentStatus | None = None
    idp_bound: bool | None = None
    execlave: ExeclaveFields | None = None


class Cost(Struct, frozen=True):
    """What a trace cost, and who says so: `reported` by the client or `estimated` from a price table."""

    usd: float
    source: str


_encode = msgspec.json.Encoder().encode


def log_middle(
    item: TraceItem,
    *,
    organization_id: str,
    span_id: str,
    trace_key: int,
    span_key: int,
    agent: Agent | None,
    cost: Cost | None,
) -> bytes:
    """The log's middle: a JSON object without its outer braces, its last member `execlave` left open.

    `frame_log` closes it. Input, output and metadata are not among its sources.
    """
    fit = _Fit()
    span_name = fit.text("span_name", item.given_span_name)
    agent_id = fit.plain("agent_id", item.agent_id or None)
    log = LogMiddle(
        message=f"{span_name or agent_id or item.given_span_type or 'trace'} {item.status}",
        trace_id=item.trace_id,
        parent_trace_id=fit.plain("parent_trace_id", item.parent_trace_id),
        organization_id=organization_id,
        agent_id=agent_id,
        status=item.status,
        model=fit.plain("model", item.model_name),
        prompt_tokens=item.prompt_tokens,
        completion_tokens=item.completion_tokens,
        total_tokens=item.summed_tokens,
        cost_usd=cost.usd if cost else None,
        duration_ms=item.duration_ms,
        environment=fit.plain("environment", item.environment),
        span_type=fit.plain("span_type", item.given_span_type),
        span_name=span_name,
        session_id=fit.plain("session_id", item.session_id),
        user_id=fit.plain("user_id", item.user_id),
        execlave=ExeclaveFields(
            status=item.status,
            trace_id=item.trace_id,
            span_id=span_id,
            delivery_key=delivery_key(trace_key, span_key),
            parent_span_id=fit.plain("parent_span_id", item.given_parent_span_id),
            unregistered=agent is None,
            cost_source=cost.source if cost else None,
            tags=fit.tags(item.tags),
        ),
    )
    if item.status is TraceStatus.ERROR or item.error_type or item.error_message:
        log.error_type, log.error_message = _error(item, fit)
    if agent is not None:
        log.agent_name = agent.name
        log.autonomy_level = agent.autonomy_level
        log.agent_status = agent.status
        log.idp_bound = agent.idp_bound
    if fit.cut and log.execlave:
        log.execlave.truncated_fields = fit.cut
    return _encode(log)[1:-2]


def _error(item: TraceItem, fit: "_Fit") -> tuple[str | None, str | None]:
    """An error without type or message gets the platform's placeholders, as the SDK sends them."""
    error_type, message = fit.text("error_type", item.error_type), fit.text("error_message", item.error_message)
    if item.status is not TraceStatus.ERROR:
        return error_type, message
    return error_type or "UnspecifiedError", message or "No error message provided"


class _Fit:
    """Makes texts fit to leave: masked where people write them, cut to what Datadog keeps, and says which were cut."""

    def __init__(self) -> None:
        self.cut: list[str] = []

    def text(self, field: str, value: str | None) -> str | None:
        if not value:
            return None
        masked = mask_name(value) if len(value) <= _CACHED_TEXT_CHARS else mask_text(value, TEXT_CHARS_MAX)
        if masked.cut:
            self.cut.append(field)
        return masked.text

    def plain(self, field: str, value: str | int | None) -> str | None:
        if value is None:
            return None
        text = str(value)
        if len(text) <= TEXT_CHARS_MAX:
            return text
        self.cut.append(field)
        return text[: TEXT_CHARS_MAX - 1] + "…"

    def tags(self, tags: list[Any] | None) -> list[str] | None:
        if not tags:
            return None
        texts = [tag if isinstance(tag, str) else _encode(tag).decode() for tag in tags[:TAGS_MAX]]
        if len(tags) > TAGS_MAX or any(len(text) > TAG_CHARS_MAX for text in texts):
            self.cut.append("execlave.tags")
        return [mask_name(text[:TAG_CHARS_MAX]).text for text in texts]


def frame_head(service: str, ddtags: str) -> bytes:
    """What stands before the timestamp in every log of a destination."""
    head = {"ddsource": SOURCE, "service": service, "ddtags": ddtags, "hostname": HOSTNAME}
    if not ddtags:
        del head["ddtags"]
    return _encode(head)[:-1] + b',"timestamp":'


def frame_log(head: bytes, timestamp_ms: int, middle: bytes, tail: bytes = b"") -> bytes:
    """One whole log. `tail` is more members of `execlave`, each with a leading comma."""
    return b"%b%d,%b%b}}" % (head, timestamp_ms, middle, tail)
