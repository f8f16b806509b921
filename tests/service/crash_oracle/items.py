"""What the producer sends, and the log that must come of it. All follows from (seed, number): nothing is kept."""

import random
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

POISON = "oracle-poison"  # the sandbox refuses every request that holds it
LEAK = "never-leaves"  # stands in everything that must stay: input, output, metadata
SERVICE, TAGS = "agents-oracle", "env:test,team:oracle"
SPANS_PER_TRACE = 5
TEXT_CHARS_MAX = 1_023  # documented: longer attributes are cut there
METADATA_CHARS = (0, 0, 0, 0, 20, 60, 60, 200, 700, 2_000)  # usual sizes; one in LARGE_ONE_IN is far larger
METADATA_CHARS_MAX = 40_000
LARGE_ONE_IN, POISON_ONE_IN, INVALID_ONE_IN = 100, 1_500, 150

_STATUSES = ("success",) * 12 + ("error",) * 4 + ("timeout", "policy_blocked", "limit_exceeded", "flagged_for_review")
_WORDS = (
    "refund",
    "naïve",
    "Zürich",
    "東京",
    "данные",
    "🙂",
    "tool",
    "query",
    "a\\b",
    'say "hi"',
    "tab\there",
    "\u2028",
)
_SESSIONS = (None, "s-{}", "sitzung-ü-{}", "セッション-{}", "{}")
_USERS = (None, "u-{}", "användare-{}", "🙂-{}")
_ERRORS = ("TimeoutError", "ToolFailed", "ЗначениеОшибки", "HTTPError", "Überlauf", None)
_MESSAGES = (
    "upstream answered 502", "no rows for «{}»", "ключ не найден {}", "見つかりません {}", "line one\nline two {}",
    "disk quota reached", "boom 💥 {}", None,
)  # fmt: skip
_MODELS = (None, "gpt-4o", "claude-sonnet-4", "in-house/модель")
# What a log says in words of the trace; the rest of it (costs, the link, marks of lateness) is the server's own.
COMPARED = (
    "trace_id", "parent_trace_id", "agent_id", "status", "model", "prompt_tokens", "completion_tokens", "total_tokens",
    "duration_ms", "environment", "span_type", "span_name", "message", "error_type", "error_message", "session_id",
    "user_id", "ddsource", "hostname", "service", "ddtags", "organization_id",
)  # fmt: skip


@lru_cache(maxsize=8)
def _text(seed: int) -> str:
    words = random.Random(seed)  # noqa: S311 - a plan to be repeated, not a secret
    return " ".join(words.choice(_WORDS) + str(words.randrange(1_000)) for _ in range(METADATA_CHARS_MAX // 4))


def make_item(seed: int, number: int, start_ms: int) -> dict[str, Any]:
    """The item with this number. Some are refused by the server (`is_invalid`), some by Datadog (`is_poison`)."""
    chance = random.Random(seed << 40 | number)  # noqa: S311 - as above
    status = chance.choice(_STATUSES)
    item: dict[str, Any] = {
        "traceId": f"oracle-{seed}-{number // SPANS_PER_TRACE}",
        "agentId": f"agent-{number % 7}",
        "status": "no such status" if is_invalid(number) else status,
        "timestamp": _stamp(start_ms + number, chance),
        "durationMs": chance.choice((0, 1, number % 10_000, 12.5)),
        "environment": chance.choice(("production", "staging")),
        "sessionId": POISON if is_poison(number) else _filled(chance.choice(_SESSIONS), number),
        "userId": _filled(chance.choice(_USERS), number),
        "modelName": chance.choice(_MODELS),
        "promptTokens": chance.choice((None, 0, 120, 90_000)),
        "completionTokens": chance.choice((None, 0, 40)),
        "metadata": _metadata(seed, number, chance),
    }
    if status == "error":
        item |= {"errorType": chance.choice(_ERRORS), "errorMessage": _message(chance, number)}
    if chance.random() < 0.3:
        item |= {"input": f"{LEAK} {number}", "output": {"answer": LEAK}}
    if chance.random() < 0.1:
        item |= {"parentTraceId": f"oracle-{seed}-{number // SPANS_PER_TRACE - 1}"}
    return {name: value for name, value in item.items() if value is not None}


def is_poison(number: int) -> bool:
    """Whether Datadog refuses this log for good."""
    return number % POISON_ONE_IN == POISON_ONE_IN // 2


def is_invalid(number: int) -> bool:
    """Whether the server must refuse this item by name."""
    return number % INVALID_ONE_IN == INVALID_ONE_IN - 1


def span_id(number: int) -> str:
    """Names the item; `number_of` reads it back."""
    return f"sp-{number}"


def number_of(log: dict[str, Any]) -> int:
    """The number of a log's item; -1 for one that was never produced."""
    name = log.get("execlave", {}).get("span_id", "")
    return int(name[3:]) if name.startswith("sp-") and name[3:].isdigit() else -1


def expected_log(item: dict[str, Any], organization_id: str) -> dict[str, Any]:
    """What the documented log says of an item: the keys in COMPARED, absent ones None."""
    metadata, status = item["metadata"], item["status"]
    tokens = [item.get("promptTokens"), item.get("completionTokens")]
    known = [count for count in tokens if count is not None]
    is_error = status == "error"
    return dict.fromkeys(COMPARED) | {
        "trace_id": item["traceId"],
        "parent_trace_id": item.get("parentTraceId"),
        "agent_id": item["agentId"],
        "status": status,
        "model": item.get("modelName"),
        "prompt_tokens": tokens[0],
        "completion_tokens": tokens[1],
        "total_tokens": sum(known) if known else None,
        "duration_ms": item["durationMs"],
        "environment": item["environment"],
        "span_type": metadata.get("spanKind"),
        "span_name": metadata.get("spanName"),
        "message": f"{metadata.get('spanName') or item['agentId']} {status}",
        "error_type": item.get("errorType", "UnspecifiedError") if is_error else None,
        "error_message": _cut(item.get("errorMessage", "No error message provided")) if is_error else None,
        "session_id": item.get("sessionId"),
        "user_id": item.get("userId"),
        "ddsource": "execlave",
        "hostname": "execlave",
        "service": SERVICE,
        "ddtags": TAGS,
        "organization_id": organization_id,
    }


def occurred_ms(item: dict[str, Any]) -> int:
    """When the item says that it happened, in epoch milliseconds."""
    stamp = item["timestamp"]
    if isinstance(stamp, int):
        return stamp
    since = datetime.fromisoformat(stamp) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000


def _stamp(time_ms: int, chance: random.Random) -> str | int:
    if chance.random() < 0.2:
        return time_ms
    moment = datetime.fromtimestamp(time_ms // 1_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1_000 if chance.random() < 0.5 else 0:03}Z"


def _metadata(seed: int, number: int, chance: random.Random) -> dict[str, Any]:
    length = METADATA_CHARS_MAX if number % LARGE_ONE_IN == 3 else chance.choice(METADATA_CHARS)
    start = chance.randrange(len(_text(seed)) - METADATA_CHARS_MAX)
    metadata: dict[str, Any] = {"spanId": span_id(number)}
    if number % SPANS_PER_TRACE:
        metadata["parentSpanId"] = span_id(number - 1)
    if chance.random() < 0.7:
        metadata |= {"spanKind": chance.choice(("tool", "llm", "agent")), "spanName": chance.choice(_WORDS[:8])}
    if length:
        metadata["notes"] = f"{LEAK} {_text(seed)[start : start + length]}"
    return metadata


def _message(chance: random.Random, number: int) -> str | None:
    if chance.random() < 0.03:
        return "very long " * 300
    return _filled(chance.choice(_MESSAGES), number)


def _filled(pattern: str | None, number: int) -> str | None:
    return pattern and pattern.format(number % 1_000)


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_CHARS_MAX else text[: TEXT_CHARS_MAX - 1] + "…"
