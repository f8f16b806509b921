"""Whatever a trace holds, its log keeps every limit that Datadog enforces without a word, and names what was cut."""

import json
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from execlave_server.datadog.logs import (
    FRAME_BYTES_MAX,
    LOG_BYTES_MAX,
    TAGS_BYTES_MAX,
    Cost,
    frame_head,
    frame_log,
    log_middle,
)
from execlave_server.datadog.mask import mask_text
from execlave_server.datadog.shorten_texts import json_bytes, shorten_texts
from execlave_server.datadog.tags import SERVICE_CHARS_MAX, TAG_CHARS_MAX, TAGS_MAX
from execlave_server.model.traces import TraceItem
from execlave_server.sandbox.truncate_log import truncate_log

ATTRIBUTES_BELOW, KEY_CHARS_BELOW, DEPTH_BELOW, VALUE_CHARS_BELOW = 256, 50, 10, 1_024  # Datadog's, each exclusive
HEAD = frame_head(
    "s" * SERVICE_CHARS_MAX, ",".join(f"{number:03}" + "ü" * (TAG_CHARS_MAX - 3) for number in range(100))
)
WHOLE_CHARS = 15_000  # as long as the mask lets a text be


def text_of(longest: int) -> st.SearchStrategy[str]:
    """Texts up to a length, often at the longest, of letters that JSON or UTF-8 make longer."""
    letter = st.sampled_from(["a", "ü", "…", "😀", '"', "\\", "\x01", " ", "pwd=x "])
    repeated = st.builds(lambda one, count: (one * count)[:longest], letter, st.integers(0, longest))
    return repeated | st.text(max_size=40)


TEXT = text_of(3_000)
TAG = text_of(400) | st.integers() | st.recursive(st.none(), lambda inner: st.lists(inner, max_size=2), max_leaves=20)
ITEMS = st.fixed_dictionaries(
    {
        "traceId": st.text(min_size=1, max_size=256),
        "status": st.sampled_from(["success", "error", "flagged_for_review"]),
    },
    optional={
        "agentId": st.text(max_size=256),
        "sessionId": TEXT | st.integers(),
        "userId": TEXT,
        "modelName": TEXT,
        "environment": TEXT,
        "errorType": TEXT,
        "errorMessage": TEXT,
        "parentTraceId": TEXT,
        "spanType": TEXT,
        "totalTokens": st.integers(0, 1 << 999),
        "durationMs": st.floats(allow_nan=False, allow_infinity=False),
        "tags": st.lists(TAG, max_size=8) | st.builds(lambda tag, count: [tag] * count, TAG, st.integers(0, 150)),
        "metadata": st.dictionaries(
            st.sampled_from(["spanId", "parentSpanId", "spanKind", "spanName"]) | st.text(max_size=60), TEXT, max_size=6
        ),
    },
)


def middle_of(item: TraceItem, **limits: int) -> bytes:
    """The middle as ingest makes it."""
    return log_middle(
        item,
        organization_id="org_1",
        span_id=(item.given_span_id or "s")[:256],
        delivery_key="0" * 32,
        agent=None,
        cost=Cost(0.5, "estimated"),
        **limits,
    )


def framed(item: TraceItem) -> bytes:
    """The whole log with the longest frame a destination may put around it."""
    link = "https://execlave.example/traces/" + quote(item.trace_id * 2, safe="")
    tail = b',"trace_url":%b,"event_timestamp":%d,"late":true' % (msgspec.json.encode(link), 1 << 52)
    return frame_log(HEAD, 1_765_449_600_000, middle_of(item), tail)


def leaves(value: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Every attribute with its path; members of a list are values of one attribute."""
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in leaves(inner, (*path, key))]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in leaves(inner, path)]
    return [(path, value)]


def named(item: TraceItem, log: dict[str, Any]) -> set[str]:
    """The attributes whose text is not what the item said, by comparing the two."""
    added = log["execlave"]
    said = {
        **{name: getattr(item, name) for name in ("environment", "parent_trace_id")},
        "model": item.model_name,
        "span_type": item.given_span_type,
        **{name: None if (given := getattr(item, name)) is None else str(given) for name in ("session_id", "user_id")},
    }
    whole = {
        name: mask_text(text, WHOLE_CHARS).text
        for name, text in (
            ("span_name", item.given_span_name), ("error_type", item.error_type), ("error_message", item.error_message)
        )
        if text
    }  # fmt: skip
    differ = {name for name, text in {**said, **whole}.items() if text is not None and log.get(name) != text}
    if item.given_parent_span_id and added["parent_span_id"] != item.given_parent_span_id:
        differ.add("execlave.parent_span_id")
    tags = [tag if isinstance(tag, str) else msgspec.json.encode(tag).decode() for tag in item.tags or []]
    if added.get("tags", []) != [mask_text(tag, WHOLE_CHARS).text for tag in tags]:
        differ.add("execlave.tags")
    return differ


@settings(max_examples=150)
@given(ITEMS)
def test_no_log_breaks_a_limit_and_what_was_cut_is_named(values):
    """Counts, lengths, depth and bytes are within Datadog's limits; the fields named are those that were cut."""
    item = msgspec.json.decode(json.dumps(values), type=TraceItem)

    log_bytes = framed(item)
    log = json.loads(log_bytes)
    found = leaves(log)

    assert len(log_bytes) < LOG_BYTES_MAX
    assert len({path for path, _ in found}) < ATTRIBUTES_BELOW
    assert max(len(path) for path, _ in found) < DEPTH_BELOW
    assert max(len(key) for path, _ in found for key in path) < KEY_CHARS_BELOW
    long = {path for path, value in found if isinstance(value, str) and len(value) >= VALUE_CHARS_BELOW}
    assert long <= {("message",), ("ddtags",), ("execlave", "trace_url")}  # searched, split, clicked: never a facet
    assert len(log["ddtags"].split(",")) <= TAGS_MAX
    assert len(log["execlave"].get("tags", [])) <= TAGS_MAX
    assert json_bytes(log["execlave"].get("tags", [])) <= TAGS_BYTES_MAX
    assert set(log["execlave"].get("truncated_fields", [])) - {"message"} == named(item, log)
    assert truncate_log(log_bytes) is log_bytes


@given(st.lists(text_of(500), max_size=20), st.integers(500, 3_000))
def test_texts_are_shortened_longest_first(texts, bytes_max):
    """What is cut fits, keeps its beginning, and is at least as long as anything that was left whole."""
    shorter = shorten_texts(texts, bytes_max)
    cut = [(text, kept) for text, kept in zip(texts, shorter, strict=True) if text != kept]
    whole = [text for text, kept in zip(texts, shorter, strict=True) if text == kept]

    assert sum(json_bytes(text) + 1 for text in shorter) <= bytes_max
    assert all(kept.endswith("…") and text.startswith(kept[:-1]) for text, kept in cut)
    assert all(json_bytes(text) > json_bytes(other) for text, _ in cut for other in whole)
    assert bool(cut) is (sum(json_bytes(text) + 1 for text in texts) > bytes_max)


@pytest.mark.parametrize("letter", ["x", "ü", "😀", "\x01"])
def test_a_log_too_long_as_a_whole_loses_its_longest_texts(letter):
    """Past the limit of a whole log, in bytes, the longest texts are cut and named; ids and short texts stay."""
    values = {
        "traceId": "t" * 256,
        "status": "error",
        "errorMessage": "so it goes " * 60,
        "modelName": letter * 1_000,
        "environment": "prod",
        "metadata": {"parentSpanId": letter * 900, "spanName": "send"},
    }
    item = msgspec.json.decode(json.dumps(values), type=TraceItem)

    middle = middle_of(item, bytes_max=2_800)
    log = json.loads(b"{" + middle + b"}}")

    assert len(middle) <= 2_800
    assert {"model", "execlave.parent_span_id"} <= {*log["execlave"]["truncated_fields"]}
    assert (log["trace_id"], log["environment"], log["span_name"]) == ("t" * 256, "prod", "send")
    assert "truncated_fields" not in json.loads(b"{" + middle_of(item) + b"}}")["execlave"]


def test_the_frame_has_its_room():
    """The longest service, tags and link that a destination may add take less than what is kept free for them."""
    item = msgspec.json.decode(json.dumps({"traceId": "😀" * 128, "status": "success"}), type=TraceItem)

    assert len(framed(item)) - len(middle_of(item)) < FRAME_BYTES_MAX
