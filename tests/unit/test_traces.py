import json
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from execlave_server.model.traces import (
    ITEM_COMPRESS_OVER_BYTES,
    TraceItem,
    TraceStatus,
    identify,
    is_same_item,
    pack_item,
    unpack_item,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MS = 253_402_214_400_000  # 9999-12-31, so that every zone still has a date
LONG = "long " * 1_000


def item(**values) -> TraceItem:
    """An item as the API reads it."""
    return msgspec.json.decode(json.dumps({"traceId": "t", "status": "success", **values}), type=TraceItem)


@pytest.mark.parametrize(
    ("timestamp", "at_ms"),
    [
        (None, None),
        ("2025-12-11T10:40:00.000Z", 1_765_449_600_000),
        ("2025-12-11T10:40:00Z", 1_765_449_600_000),
        ("2025-12-11T10:40:00.123Z", 1_765_449_600_123),
        ("2025-12-11T10:40:00.123999Z", 1_765_449_600_123),
        ("2025-12-11T10:40:00.123456789Z", 1_765_449_600_123),
        ("2025-12-11T16:10:00.5+05:30", 1_765_449_600_500),
        ("2025-12-11T10:40:00", 1_765_449_600_000),
        ("2025-12-11 10:40:00.25", 1_765_449_600_250),
        ("1969-12-31T23:59:59.5Z", -500),
        (1_765_449_600_123, 1_765_449_600_123),
        (1_765_449_600_123.9, 1_765_449_600_123),
        (1_765_449_600, 1_765_449_600_000),
        (1_765_449_600.5, 1_765_449_600_500),
        (99_999_999_999, 99_999_999_999_000),
        (100_000_000_000, 100_000_000_000),
        (0, 0),
        (-1, -1_000),
    ],
)
def test_every_form_of_timestamp(timestamp, at_ms):
    """ISO 8601 with or without a zone, epoch milliseconds, epoch seconds, and none."""
    assert item(timestamp=timestamp).occurred_at_ms == at_ms


@given(st.integers(0, LAST_MS), st.integers(-840, 840))
@example(1_079_337_347_472, 0)  # as seconds in a float, these lose a millisecond
@example(2_165_497_250_430, 0)
def test_a_time_is_exact_to_the_millisecond(at_ms, offset_min):
    """Whatever the year and the zone, the millisecond that was written is the one that is kept."""
    stamp = (EPOCH + timedelta(milliseconds=at_ms)).astimezone(timezone(timedelta(minutes=offset_min)))

    assert item(timestamp=stamp.isoformat()).occurred_at_ms == at_ms


@pytest.mark.parametrize(
    "broken",
    [
        {"timestamp": "yesterday"},
        {"timestamp": True},
        {"timestamp": []},
        {"status": "done"},
        {"traceId": ""},
        {"traceId": "x" * 257},
        {"traceId": 5},
        {"agentId": "x" * 257},
        {"promptTokens": "12"},
        {"promptTokens": 1.5},
        {"costUsd": "free"},
        {"errorMessage": {"a": 1}},
        {"metadata": []},
        {"tags": "one"},
        {"parentTraceId": 7},
    ],
    ids=json.dumps,
)
def test_values_of_the_wrong_kind_are_refused(broken):
    """An item that contradicts the SDK's contract is not read."""
    with pytest.raises(msgspec.ValidationError):
        item(**broken)


def test_unknown_keys_and_metadata_are_the_callers_own():
    """Whatever else stands in an item or its metadata does not make it unreadable."""
    read = item(effectEvidence={"basis": "none"}, metadata={"spanId": ["odd"], "toolName": 5}, input=[None], new=1)

    assert read.given_span_id is None


@pytest.mark.parametrize(
    ("values", "span_id", "parent", "kind", "name"),
    [
        ({}, None, None, None, None),
        (
            {"metadata": {"spanId": "sp_1", "parentSpanId": "sp_0", "spanKind": "tool", "spanName": "send_email"}},
            "sp_1",
            "sp_0",
            "tool",
            "send_email",
        ),
        ({"spanType": "llm", "spanName": "outer"}, None, None, "llm", "outer"),
        ({"spanType": "llm", "metadata": {"spanKind": "tool"}}, None, None, "llm", None),
        ({"spanName": "outer", "metadata": {"spanName": "inner"}}, None, None, None, "inner"),
        ({"spanName": "outer", "metadata": {"spanName": ""}}, None, None, None, "outer"),
        ({"spanType": "", "metadata": {"spanKind": "tool"}}, None, None, "tool", None),
        ({"metadata": {"spanId": "", "parentSpanId": None, "spanKind": 3, "spanName": {"a": 1}}}, *[None] * 4),
        ({"metadata": None}, *[None] * 4),
    ],
)
def test_the_span_stands_where_the_sdk_puts_it(values, span_id, parent, kind, name):
    """Ids and names come from metadata, the type from spanType before it; what is no text there is as if absent."""
    read = item(**values)

    assert (read.given_span_id, read.given_parent_span_id) == (span_id, parent)
    assert (read.given_span_type, read.given_span_name) == (kind, name)


@pytest.mark.parametrize(
    ("tokens", "total"),
    [
        ({}, None),
        ({"totalTokens": 9}, 9),
        ({"totalTokens": 0, "promptTokens": 3}, 0),
        ({"promptTokens": 3}, 3),
        ({"completionTokens": 4}, 4),
        ({"promptTokens": 3, "completionTokens": 4}, 7),
        ({"promptTokens": 3, "completionTokens": 4, "totalTokens": 99}, 99),
        ({"promptTokens": 0, "completionTokens": 0}, 0),
    ],
)
def test_tokens_are_summed_when_no_total_is_given(tokens, total):
    """A reported total stands; else it is the sum of what was reported; without either there is none."""
    assert item(**tokens).summed_tokens == total


def test_status_codes_never_change():
    """The store keeps these numbers: new statuses go to the end."""
    assert [(status.value, status.code) for status in TraceStatus] == [
        ("success", 0),
        ("error", 1),
        ("timeout", 2),
        ("policy_blocked", 3),
        ("limit_exceeded", 4),
        ("flagged_for_review", 5),
        ("effect_unconfirmed", 6),
    ]


@given(st.dictionaries(st.text(max_size=10), st.text(max_size=3_000), max_size=5))
def test_a_packed_item_is_unpacked_as_it_came(document):
    """Packing keeps every byte, compressed or not."""
    sent = json.dumps(document).encode()

    assert unpack_item(pack_item(sent)) == sent


def test_only_long_items_are_compressed():
    """Up to the limit an item is kept as it is; beyond, as a shorter zlib stream."""
    edge = b'{"a":"%b"}' % (b"x" * (ITEM_COMPRESS_OVER_BYTES - 8))
    longer = b'{"a":"%b"}' % (b"x" * (ITEM_COMPRESS_OVER_BYTES - 7))

    assert len(edge) == ITEM_COMPRESS_OVER_BYTES
    assert pack_item(edge) == edge
    assert len(pack_item(longer)) < len(longer)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": [{"c": 1, "d": 2}]}, {"b": [{"d": 2, "c": 1}], "a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ({"a": [1, 2]}, {"a": [2, 1]}, False),
        ({"a": LONG, "b": 1}, {"b": 1, "a": LONG}, True),
        ({"a": LONG, "b": 1}, {"b": 2, "a": LONG}, False),
    ],
)
def test_items_are_compared_by_what_they_say(one, other, same):
    """The order of keys and blanks do not matter, values do, packed or not."""
    compact = json.dumps(one, separators=(",", ":")).encode()
    spaced = json.dumps(other, indent=1).encode()

    assert is_same_item(pack_item(compact), pack_item(spaced)) is same
    assert is_same_item(pack_item(spaced), pack_item(compact)) is same


@pytest.mark.parametrize("deep", [b'{"a":' * 2_000 + b"1" + b"}" * 2_000, b'{"a":1e999}'])
def test_what_cannot_be_compared_is_the_same_only_by_its_bytes(deep):
    """An item nested or sized beyond reading equals itself and nothing else."""
    assert is_same_item(pack_item(deep), pack_item(deep)) is True
    assert is_same_item(pack_item(deep), pack_item(deep + b" ")) is False


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_an_identity_is_two_keys_and_their_digits(organization, trace_id, span_id):
    """Both keys are 64-bit integers, and the delivery key holds both, negative ones too."""
    identity = identify(organization, trace_id, span_id)

    assert len(identity.delivery_key) == 32
    assert int.from_bytes(bytes.fromhex(identity.delivery_key[:16]), signed=True) == identity.trace_key
    assert int.from_bytes(bytes.fromhex(identity.delivery_key[16:]), signed=True) == identity.span_key


def test_identities_are_the_same_on_every_machine():
    """The keys in the store, and those that left, are found again by later versions: the hash is fixed."""
    assert identify("org_acme", "t1", "sp_1") == (
        -7_883_654_013_875_086_274,
        7_283_876_621_742_236_681,
        "9297a2719ae49c3e6515873222b7e409",
    )


@pytest.mark.parametrize(
    "other", [("org_b", "t1", "sp_1"), ("org_a", "t2", "sp_1"), ("org_a", "t1", "sp_2"), ("org_at", "1", "sp_1")]
)
def test_another_trace_has_another_identity(other):
    """Organization, trace id and span id all count, and where one ends and the next begins."""
    one = identify("org_a", "t1", "sp_1")

    assert identify(*other)[:2] != one[:2]
    assert identify(*other).delivery_key != one.delivery_key
