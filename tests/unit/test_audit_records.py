import hashlib
import json
import types
import typing

import msgspec
import pytest

from audit_ledger import DecisionRow, TraceRow
from execlave_server.audit import canonical, chain, events, evidence, head, records
from execlave_server.audit.events import DETAILS, Kind

ORDERED = [
    records.TraceRecord,
    records.TraceContent,
    records.DecisionRecord,
    records.DecisionContent,
    records.MatchedPolicy,
    chain.EntryRecord,
    head.HeadRecord,
    head.SignedHead,
    evidence.EvidenceEntry,
    evidence.Content,
]


def standard_json(value):
    """Canonical JSON as the offline script makes it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize("struct", ORDERED, ids=lambda struct: struct.__name__)
def test_records_declare_their_fields_in_sorted_order(struct):
    """Records are encoded as they are declared, so they must be declared in canonical order."""
    assert list(struct.__struct_encode_fields__) == sorted(struct.__struct_encode_fields__)


def types_in(annotation):
    """Every type that an annotation is made of, through structs."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        for hint in typing.get_type_hints(annotation).values():
            yield from types_in(hint)
    elif typing.get_args(annotation):
        for inner in typing.get_args(annotation):
            yield from types_in(inner)
    else:
        yield annotation


@pytest.mark.parametrize("struct", [*DETAILS.values(), records.TraceRecord, records.DecisionRecord])
def test_no_float_and_nothing_open_is_ever_hashed(struct):
    """Floats are written differently by different encoders; details and records have only texts, integers, truths."""
    allowed = {str, int, bool, types.NoneType, Ellipsis}

    assert {found for found in types_in(struct) if found not in allowed} == set()


def test_every_kind_has_details():
    """Each kind of entry says what its details are."""
    assert set(DETAILS) == set(Kind)
    assert all(issubclass(details, events.Details) for details in DETAILS.values())


def test_every_character_is_written_as_the_standard_library_does():
    """Canonical JSON has the same bytes from msgspec and from json.dumps, for every character there is."""
    characters = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x11000), 0x1F428, 0x10FFFF]))

    assert canonical.sorted_json({"text": characters}) == standard_json({"text": characters})


def test_a_trace_record_has_these_bytes():
    """The canonical bytes of a trace are frozen: what was recorded once must verify for ever."""
    row = TraceRow("tr_1", "s1", salt=bytes(16), item=b'{"input":"x"}', log=b"{}", cost_usd=0.0012)
    digest = hashlib.sha256(bytes(16) + b"item\x00" + b'{"input":"x"}').hexdigest()

    leaf = records.leaf_of(row.record())

    expected = {
        "agent": "support-bot",
        "content": {"item": digest, "log": hashlib.sha256(bytes(16) + b"log\x00{}").hexdigest()},
        "cost_nano_usd": 1_200_000,
        "environment": "production",
        "occurred_at_ms": 1_765_449_600_000,
        "organization": "org_1",
        "span_id": "s1",
        "span_type": "tool",
        "status": "success",
        "trace_id": "tr_1",
    }
    assert leaf == hashlib.sha256(b"\x00T\x01" + standard_json(expected)).digest()
    assert leaf.hex() == "7adf0071cc673678475343cf7ccaa44c26b9485a0d1af09c33ac30e5739c38c5"


def test_a_decision_record_has_these_bytes():
    """The same for a decision, with the policies that decided and their versions."""
    record = DecisionRow("dec_1", "tr_1").record()

    leaf = records.leaf_of(record)

    decoded = json.loads(msgspec.json.encode(record))
    assert decoded["policies"] == [{"mode": "block", "policy": "pol_1", "rule": "r1", "version": 3}]
    assert leaf == hashlib.sha256(b"\x00D\x01" + standard_json(decoded)).digest()
    assert leaf.hex() == "2fd6259bdfd2aaadb0a3665449767537a7f82a8625a39df254b47a0897af012e"


def test_absent_values_are_absent_keys():
    """Neither null nor an empty list of policies is written."""
    row = DecisionRow("dec_1", None, policies=())

    assert b"null" not in (encoded := msgspec.json.encode(row.record()))
    assert b"policies" not in encoded
    assert b"trace_id" not in encoded


def test_the_same_content_has_another_digest_under_another_salt():
    """Without the salt nobody can find out by trying what erased content was."""
    first, second = (records.trace_content(salt, b"yes", b"{}") for salt in (bytes(16), b"\x01" * 16))

    assert first.item != second.item
    assert first.item != records.trace_content(bytes(16), b"{}", b"yes").log


@pytest.mark.parametrize(
    ("usd", "nano"),
    [(None, None), (0, 0), (0.0012, 1_200_000), (1.5e-07, 150), (-1, -1_000_000_000), (1e308, None), (10**400, None)],
)
def test_money_is_an_integer(usd, nano):
    """Costs become billionths of a dollar; what no number of them can say is left out."""
    assert canonical.nano_usd(usd) == nano
