import hashlib
import json

import pytest
from msgspec.structs import replace

from audit_ledger import ORGANIZATION, Ledger
from execlave_server.audit import merkle
from execlave_server.audit.chain import Event, Head, hash_of, history_path, next_entry, verify_chain
from execlave_server.audit.events import Kind, SignIn
from execlave_server.audit.findings import Code

SIGN_IN = SignIn(method="password", person="p1", succeeded=True)


@pytest.fixture(scope="module")
def entries():
    """A chain of seventeen entries."""
    return Ledger().fill(6).entries[:17]


def codes(entries, start=None):
    """What is found, as codes and places."""
    return [(finding.code, finding.where) for finding in verify_chain(entries, start or Head(ORGANIZATION))]


def test_an_entry_is_hashed_over_everything_in_it():
    """The hash of an entry is SHA-256 over tag, version and canonical JSON; these bytes are frozen."""
    event = Event(Kind.PERSON_SIGNED_IN, 1_765_449_600_000_000, "person:p1", "person:p1", SIGN_IN)

    entry = next_entry(Head(ORGANIZATION), event)

    document = {
        "actor": "person:p1",
        "at_us": 1_765_449_600_000_000,
        "details": {"method": "password", "person": "p1", "succeeded": True},
        "history": hashlib.sha256(b"").hexdigest(),
        "kind": "person.signed_in",
        "organization": "org_1",
        "previous": "00" * 32,
        "seq": 1,
        "subject": "person:p1",
    }
    encoded = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    assert entry.hash == hash_of(entry) == hashlib.sha256(b"A\x01" + encoded).digest()
    assert entry.hash.hex() == "4e10e9a3224e3c4b69c3ee007b46065cb9cc5d728a6c86c174afb91cf454b1e3"


def test_an_event_takes_the_details_of_its_kind():
    """Details of another kind are a mistake of the caller, found before anything is written."""
    with pytest.raises(TypeError, match=r"key\.issued takes Key, not SignIn"):
        next_entry(Head(ORGANIZATION), Event(Kind.KEY_ISSUED, 1, "server", "key:1", SIGN_IN))


def test_a_whole_chain_has_nothing_to_find(entries):
    """A chain verifies from its beginning and from any head on the way."""
    head = Head(ORGANIZATION)
    for entry in entries:
        assert codes(entries[head.seq :], head) == []
        head = head.after(entry.hash)


CHANGES = {
    "at_us": 1,
    "actor": "person:other",
    "subject": "batch:9",
    "kind": "batch.other",
    "organization": "org_2",
    "previous": bytes(32),
    "history": bytes(32),
    "hash": bytes(32),
    "details": '{"batch":1}',
}


@pytest.mark.parametrize("field", CHANGES)
def test_each_changed_field_is_found(entries, field):
    """Whatever is changed in an entry, it no longer hashes to its hash."""
    tampered = [*entries[:6], replace(entries[6], **{field: CHANGES[field]}), *entries[7:]]

    assert codes(tampered)[0] == (Code.ENTRY_CHANGED, "entry 7")


def test_an_entry_hashed_anew_no_longer_leads_on(entries):
    """Whoever changes an entry and its hash breaks the link of the next one."""
    changed = replace(entries[6], actor="person:other")
    tampered = [*entries[:6], replace(changed, hash=hash_of(changed)), *entries[7:]]

    assert codes(tampered) == [(Code.CHAIN_BROKEN, "entry 8")]


def test_a_link_mended_too_leaves_the_history_broken(entries):
    """Hashing two neighbours anew still leaves every later entry with the root of the old history."""
    changed = replace(entries[6], actor="person:other")
    changed = replace(changed, hash=hash_of(changed))
    mended = replace(entries[7], previous=changed.hash)
    mended = replace(mended, hash=hash_of(mended))
    last = replace(entries[8], previous=mended.hash)
    tampered = [*entries[:6], changed, mended, replace(last, hash=hash_of(last))]

    assert codes(tampered) == [(Code.CHAIN_BROKEN, "entry 8")]


def test_removed_and_repeated_entries_are_found(entries):
    """A gap is one finding and names what is missing; what follows is still checked."""
    tampered = [*entries[2:4], entries[3], *entries[6:8], replace(entries[8], actor="x")]

    assert codes(tampered) == [
        (Code.ENTRY_MISSING, "entries 1 to 2"),
        (Code.ENTRY_REPEATED, "entry 4"),
        (Code.ENTRY_MISSING, "entries 5 to 6"),
        (Code.ENTRY_CHANGED, "entry 9"),
    ]


@pytest.mark.parametrize("details", ['{"b":1,"a":2}', '{"a": 1}', '{"a":1,"a":2}', "no"])
def test_details_must_be_canonical(entries, details):
    """An entry whose details another reader would hash otherwise is named, even if its own hash is right."""
    odd = replace(entries[16], details=details)

    assert codes([*entries[:16], replace(odd, hash=hash_of(odd))]) == [(Code.ENTRY_UNREADABLE, "entry 17")]


def test_every_entry_is_provable_in_the_history_of_every_later_one(entries):
    """From any entry to any later one a handful of hashes is enough."""
    leaves = [merkle.leaf_hash(entry.hash) for entry in entries]

    def root_of(first, stop):
        return merkle.root(leaves[first:stop])

    for anchor in entries:
        for entry in entries[: anchor.seq - 1]:
            path = history_path(entry.seq, anchor.seq, root_of)
            proved = merkle.root_from_path(merkle.leaf_hash(entry.hash), entry.seq - 1, anchor.seq - 1, path)
            assert proved == anchor.history
            assert len(path) <= 4
