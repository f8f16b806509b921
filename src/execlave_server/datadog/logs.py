"""From a trace to its Datadog log: the documented keys, absent ones omitted, everything else under `execlave`."""

from typing import Any

import msgspec
from msgspec import Struct

from execlave_server.datadog.mask import Masked, mask_name, mask_text
from execlave_server.datadog.shorten_texts import json_bytes, shorten_texts
from execlave_server.model.agents import Agent, AgentStatus, AutonomyLevel, CredentialMark
from execlave_server.model.traces import TraceItem, TraceStatus

TEXT_CHARS_MAX = 1_023  # a facet's value must have fewer than 1,024 characters
TAGS_MAX = 100  # as many as Datadog keeps
TAG_CHARS_MAX = 200
TAGS_BYTES_MAX = 25 * 1_024  # past this an attribute is cut in the index
LOG_BYTES_MAX = 1_000_000  # the intake cuts a longer log after answering 202
FRAME_BYTES_MAX = 100_000  # what destination and sending add: 100 tags of 200 characters, and a link
NAMES_BYTES_MAX = 600  # of `execlave.truncated_fields` when it names every text
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
    reported_status: TraceStatus | None = None
    decision_id: str | None = None
    enforcement_mode: str | None = None
    policy_ids: tuple[str, ...] | None = None
    policy_types: tuple[str, ...] | None = None
    rule_ids: tuple[str, ...] | None = None
    severity: str | None = None
    tags: list[str] | None = None
    truncated_fields: list[str] | None = None
    credential: CredentialMark | None = None


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


POLICIES_NAMED_MAX = 20  # of those that objected, the strictest


class Governed(Struct, frozen=True):
    """What governance made of a trace: its status where that is not the reported one, and who objected."""

    status: TraceStatus | None = None
    decision_id: str | None = None
    enforcement_mode: str | None = None
    severity: str | None = None
    policy_ids: tuple[str, ...] = ()
    policy_types: tuple[str, ...] = ()
    rule_ids: tuple[str, ...] = ()


UNGOVERNED = Governed()
_encode = msgspec.json.Encoder().encode
_IDENTITY = frozenset({"trace_id", "organization_id", "span_id", "delivery_key"})  # what a log is found again by


def log_middle(
    item: TraceItem,
    *,
    organization_id: str,
    span_id: str,
    delivery_key: str,
    agent: Agent | None,
    cost: Cost | None,
    credential: CredentialMark | None = None,
    governed: Governed = UNGOVERNED,
    bytes_max: int = LOG_BYTES_MAX - FRAME_BYTES_MAX,
) -> bytes:
    """The log's middle: a JSON object without its outer braces, its last member `execlave` left open.

    `frame_log` closes it. Input, output and metadata are not among its sources. Every limit that Datadog enforces
    without a word is kept here, and `execlave.truncated_fields` names what was cut for it.
    """
    status, span_type = governed.status or item.status, item.given_span_type
    named = _mask(item.given_span_name)
    span_name = named.text or None
    cut = ["span_name"] if named.cut else []
    execlave = ExeclaveFields(
        status=status,
        trace_id=item.trace_id,
        span_id=span_id,
        delivery_key=delivery_key,
        parent_span_id=item.given_parent_span_id,
        unregistered=agent is None,
        cost_source=cost.source if cost else None,
        reported_status=item.status if status is not item.status else None,
        tags=_tags(item.tags, cut) if item.tags else None,
        credential=credential,
    )
    if governed is not UNGOVERNED:
        _say_governed(execlave, governed)
    log = LogMiddle(
        message="",
        trace_id=item.trace_id,
        parent_trace_id=item.parent_trace_id,
        organization_id=organization_id,
        agent_id=item.agent_id or None,
        status=status,
        model=item.model_name,
        prompt_tokens=item.prompt_tokens,
        completion_tokens=item.completion_tokens,
        total_tokens=item.summed_tokens,
        cost_usd=cost.usd if cost else None,
        duration_ms=item.duration_ms,
        environment=item.environment,
        span_type=span_type,
        span_name=span_name,
        session_id=item.session_id if item.session_id is None else str(item.session_id),
        user_id=item.user_id if item.user_id is None else str(item.user_id),
        execlave=execlave,
    )
    if item.status is TraceStatus.ERROR or item.error_type or item.error_message:
        log.error_type, log.error_message = _error(item, cut)
    if agent is not None:
        log.agent_name = agent.name
        log.autonomy_level = agent.autonomy_level
        log.agent_status = agent.status
        log.idp_bound = agent.idp_bound
    log.message = _message(log)
    encoded = _encode(log)
    if len(encoded) > TEXT_CHARS_MAX:  # only then can an attribute be longer than that
        log.message = ""
        cut += _cut_long(log) + [f"execlave.{name}" for name in _cut_long(execlave)]
        log.message = _message(log)
        encoded = _encode(log)
    if cut:
        execlave.truncated_fields = list(dict.fromkeys(cut))
        encoded = _encode(log)
    if len(encoded) > bytes_max:
        encoded = _shorten(log, execlave, len(encoded) - bytes_max)
    return encoded[1:-2]


def _say_governed(execlave: ExeclaveFields, governed: Governed) -> None:
    """Which decision it was, and who objected."""
    execlave.decision_id = governed.decision_id
    execlave.enforcement_mode = governed.enforcement_mode
    execlave.policy_ids = governed.policy_ids[:POLICIES_NAMED_MAX] or None
    execlave.policy_types = governed.policy_types[:POLICIES_NAMED_MAX] or None
    execlave.rule_ids = governed.rule_ids[:POLICIES_NAMED_MAX] or None
    execlave.severity = governed.severity


def _message(log: LogMiddle) -> str:
    """What happened and how it ended, as the log list shows it."""
    return f"{log.span_name or log.agent_id or log.span_type or 'trace'} {log.status}"


def _mask(text: str | None) -> Masked:
    """What people write freely, fit to leave: secrets and personal data masked, then cut."""
    if not text:
        return Masked("", cut=False, masked=False)
    return mask_name(text) if len(text) <= _CACHED_TEXT_CHARS else mask_text(text, TEXT_CHARS_MAX)


def _error(item: TraceItem, cut: list[str]) -> tuple[str | None, str | None]:
    """An error without type or message gets the platform's placeholders, as the SDK sends them."""
    kind, message = _mask(item.error_type), _mask(item.error_message)
    cut += [name for name, masked in (("error_type", kind), ("error_message", message)) if masked.cut]
    if item.status is not TraceStatus.ERROR:
        return kind.text or None, message.text or None
    return kind.text or "UnspecifiedError", message.text or "No error message provided"


def _tags(tags: list[Any], cut: list[str]) -> list[str]:
    texts = [tag if isinstance(tag, str) else _encode(tag).decode() for tag in tags[:TAGS_MAX]]
    masked = [mask_text(text, TAG_CHARS_MAX) for text in texts]
    whole = [each.text for each in masked]
    kept = shorten_texts(whole, TAGS_BYTES_MAX - 1)  # as a list: one comma less than tags, but two brackets
    if len(tags) > TAGS_MAX or kept != whole or any(each.cut for each in masked):
        cut.append("execlave.tags")
    return kept


def _shorten(log: LogMiddle, execlave: ExeclaveFields, excess: int) -> bytes:
    """A log that is too long as a whole, shorter by so many bytes: its longest texts are cut, but no identity."""
    places = [
        (fields, name, prefix)
        for fields, prefix in ((log, ""), (execlave, "execlave."))
        for name in fields.__struct_fields__
        if type(getattr(fields, name)) is str and name not in _IDENTITY
    ]
    texts = [getattr(fields, name) for fields, name, _ in places]
    room = sum(json_bytes(text) + 1 for text in texts) - excess - NAMES_BYTES_MAX
    cut = execlave.truncated_fields or []
    for (fields, name, prefix), text, shorter in zip(places, texts, shorten_texts(texts, room), strict=True):
        if shorter != text:
            setattr(fields, name, shorter)
            cut.append(prefix + name)
    execlave.truncated_fields = list(dict.fromkeys(cut))
    return _encode(log)


def _cut_long(fields: Struct) -> list[str]:
    """Cut the texts that are longer than Datadog keeps; their names."""
    cut = []
    for name in fields.__struct_fields__:
        value = getattr(fields, name)
        if isinstance(value, str) and len(value) > TEXT_CHARS_MAX:
            setattr(fields, name, value[: TEXT_CHARS_MAX - 1] + "…")
            cut.append(name)
    return cut


def frame_head(service: str, ddtags: str) -> bytes:
    """What stands before the timestamp in every log of a destination."""
    head = {"ddsource": SOURCE, "service": service, "ddtags": ddtags, "hostname": HOSTNAME}
    if not ddtags:
        del head["ddtags"]
    return _encode(head)[:-1] + b',"timestamp":'


def frame_log(head: bytes, timestamp_ms: int, middle: bytes, tail: bytes = b"") -> bytes:
    """One whole log. `tail` is more members of `execlave`, each with a leading comma."""
    return b"%b%d,%b%b}}" % (head, timestamp_ms, middle, tail)
