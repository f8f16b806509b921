"""The evidence file and the offline script that checks it: whatever is changed in the file, the script says no."""

import ast
import copy
import json
import subprocess
import sys

import msgspec
import pytest
from msgspec.structs import replace

from audit_ledger import SCRIPT, Ledger, load_script
from execlave_server.audit.evidence import INSTRUCTIONS, ProvedEntry, ProvedRecord, make_evidence
from execlave_server.audit.head import head_line, sign_head
from execlave_server.audit.records import leaf_of

script = load_script()
NOT_COVERED = "instructions"


@pytest.fixture(scope="module")
def ledger():
    """Nine batches; the evidence is of the fourth."""
    return Ledger().fill(9)


@pytest.fixture(scope="module")
def signed(ledger):
    """The evidence with a signed head in it."""
    return ledger.evidence(3, head=ledger.signed_head())


@pytest.fixture
def check(tmp_path, capsys):
    """Run the script over a document; its exit code and what it printed."""

    def run(document, *arguments, heads=None):
        file = tmp_path / "evidence.json"
        file.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
        if heads is not None:
            (tmp_path / "heads").write_bytes(heads)
            arguments = (*arguments, "--head", str(tmp_path / "heads"))
        code = script.main([str(file), *arguments])
        return code, capsys.readouterr().out

    return run


def test_the_script_stands_alone(signed, tmp_path):
    """It runs on Python 3.9, imports the standard library only, and verifies with this package out of reach."""
    tree = ast.parse(SCRIPT.read_text(), feature_version=(3, 9))
    imported = {
        name.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    (tmp_path / "evidence.json").write_bytes(signed)

    command = [sys.executable, "-I", "-S", SCRIPT, tmp_path / "evidence.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert imported <= sys.stdlib_module_names
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("PASS  all of it\n")


def test_each_step_is_printed(signed, check):
    """What was checked can be read."""
    code, printed = check(signed)

    assert code == 0
    for step in (
        "anchor: entry 27 of org_1",
        "entry 11, batch.root batch:7: in the history of the anchor",
        "trace: item, log as recorded",
        "trace: leaf 0 of 4 in batch 7, recorded by entry 11",
        "decision: it is the one that entry 10 records by itself",
        "head in this file: signed by",
    ):
        assert f"PASS  {step}" in printed
    assert "NOTE  nothing outside this file was compared" in printed


def paths(value, at=()):
    """Every place in a JSON document."""
    yield at
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from paths(inner, (*at, key))


def changes(value):
    """What a value might be changed to."""
    if isinstance(value, str):
        yield from (value + "0", value[:-1], value.upper() if value.upper() != value else value.lower(), value + " ")
        yield from (value[:at] + ("1" if value[at] != "1" else "2") + value[at + 1 :] for at in {0, len(value) // 2})
    elif isinstance(value, bool):
        yield from (not value, int(value))
    elif isinstance(value, int):
        yield from (value + 1, -value - 1, bool(value), str(value), float(value), value + 2**64)
    elif isinstance(value, list):
        yield from ([*value, *value[-1:]], value[:-1], value[::-1], {}) if value else ([""], {})
    else:
        yield from ({**value, "more": 1}, [])
    yield None


def put(document, path, value):
    """A copy with another value in one place."""
    changed = copy.deepcopy(document)
    inside = changed
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    return changed


def without(document, path):
    """A copy with one key or element less."""
    changed = copy.deepcopy(document)
    inside = changed
    for key in path[:-1]:
        inside = inside[key]
    del inside[path[-1]]
    return changed


@pytest.mark.parametrize("with_head", [False, True], ids=["bare", "with its head"])
def test_every_change_anywhere_in_the_file_is_found(ledger, signed, with_head, tmp_path, capsys):
    """Each value of the file, changed in several ways one at a time, makes the script say no. Instructions are text."""
    document = json.loads(signed if with_head else ledger.evidence(3))
    file = tmp_path / "evidence.json"
    passed, tried = [], 0

    for path in paths(document):
        if not path or path[0] == NOT_COVERED:
            continue
        value = document
        for key in path:
            value = value[key]
        for other in changes(value):
            if other == value and type(other) is type(value):
                continue
            file.write_text(json.dumps(put(document, path, other)))
            tried += 1
            if script.main([str(file)]) != 1:
                passed.append((path, other))
    capsys.readouterr()

    # Leaving content out is withholding it, not changing it; null is one way to leave it out. Neither list has an order
    # that means anything.
    withheld = [(("records", at, "content"), None) for at in (0, 1)]
    turned = [((name,), document[name][::-1]) for name in ("records", "entries")]
    assert [change for change in passed if change not in turned] == withheld
    assert tried > 600


def test_only_whole_statements_can_be_left_out(signed, tmp_path, capsys):
    """What may be removed without the script's noticing: content, the decision's own entry, the head. No more."""
    document = json.loads(signed)
    file = tmp_path / "evidence.json"
    passed = []
    for path in paths(document):
        if path and path[0] != NOT_COVERED:
            file.write_text(json.dumps(without(document, path)))
            if script.main([str(file)]) == 0:
                passed.append("/".join(map(str, path)))
    capsys.readouterr()

    assert sorted(passed) == [
        "anchor/head",
        "entries/0",
        "records/0",
        "records/0/content",
        "records/0/content/parts/item",
        "records/0/content/parts/log",
        "records/1/content",
        "records/1/content/parts/action",
        "records/1/content/parts/violations",
    ]


def test_erased_content_leaves_the_proof(ledger, check):
    """Without content and salt the record still verifies, and the script says what is not here."""
    code, printed = check(ledger.evidence(3, content=False))

    assert code == 0
    assert "trace: its content is not in this file (erased or withheld)" in printed


def test_one_part_can_be_shown_without_the_other(ledger, check):
    """The log may be shown without the prompt."""
    document = json.loads(ledger.evidence(3))
    del document["records"][0]["content"]["parts"]["item"]

    code, printed = check(document)

    assert code == 0
    assert "trace: log as recorded; not here: ['item']" in printed


def test_the_newest_entry_can_be_the_anchor(ledger, check):
    """A batch can be proved by its own entry, with nothing after it."""
    anchor = ledger.batches[3].entry

    code, printed = check(ledger.evidence(3, anchor_seq=anchor), "--audit-hash", ledger.entries[anchor - 1].hash.hex())

    assert code == 0
    assert "Datadog: the log carries the hash of the entry of this batch" in printed


def test_against_a_head_kept_apart(ledger, check):
    """The head of the anchor among the heads kept apart, signed by the expected key, is what makes it evidence."""
    earlier = sign_head(replace(ledger.head, seq=5), 1, ledger.key.public, ledger.key.sign)
    heads = head_line(earlier) + head_line(ledger.signed_head())

    code, printed = check(ledger.evidence(3), "--key", ledger.key.public.hex(), heads=heads)

    assert code == 0
    assert "head kept apart: it names entry 27" in printed
    assert "NOTE" not in printed


def test_a_forged_history_agrees_with_itself_but_with_no_head(ledger, check):
    """Whoever holds the database can forge a file that agrees with itself; a head kept apart or a log finds it."""
    forged = Ledger(key=ledger.key)
    forged.now_us += 1
    evidence = forged.fill(9).evidence(3)
    head = ledger.signed_head()

    assert check(evidence)[0] == 0
    code, printed = check(evidence, heads=head_line(head))
    assert (code, "is not the one that the head is of: history changed" in printed) == (1, True)
    code, printed = check(evidence, "--audit-hash", ledger.entries[10].hash.hex())
    assert (code, "the log in Datadog carries" in printed) == (1, True)


def bad_heads(ledger):
    """Head files that do not vouch for the anchor, and what is said of each."""
    head = ledger.signed_head()
    other = Ledger().key
    return {
        "none of its number": (
            head_line(sign_head(replace(ledger.head, seq=5), 1, b"", other.sign)),
            "no head of entry",
        ),
        "another organization": (head_line(replace(head, organization="org_2")), "none of this organization"),
        "changed time": (head_line(replace(head, at_us=1)), "not of this key"),
        "changed hash": (head_line(replace(head, hash="00" * 32)), "not of this key"),
        "another key": (head_line(sign_head(ledger.head, 1, other.public, other.sign)), "signed by another key"),
        "no head": (b'{"seq":1}', "not evidence as it should be"),
        "a signature of nothing": (head_line(replace(head, signature="00" * 64)), "not of this key"),
    }


@pytest.mark.parametrize("name", bad_heads(Ledger().fill(1)))
def test_a_head_that_does_not_vouch_for_the_anchor(ledger, check, name):
    """Whatever is wrong with the head kept apart, the script says no and why."""
    heads, why = bad_heads(ledger)[name]

    code, printed = check(ledger.evidence(3), "--key", ledger.key.public.hex(), heads=heads)

    assert code == 1
    assert why in printed


def test_a_key_without_a_head_is_not_ignored(ledger, check):
    """Naming a key where there is no signature to check is no success."""
    assert check(ledger.evidence(3), "--key", ledger.key.public.hex())[0] == 1


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b'{"format":1,"format":2}', "stands twice"),
        (b'{"format":1.5}', "not an integer"),
        (b'{"format":NaN}', "not an integer"),
        (b"[" * 100_000, "not evidence"),
        (b"\xff", "not evidence"),
        (b"", "not evidence"),
        (b"{}", "the file has the keys []"),
        (b"3", "not an object"),
    ],
)
def test_what_is_no_evidence_fails_without_a_traceback(check, document, why):
    """Any bytes end in one line that says what is wrong."""
    code, printed = check(document)

    assert code == 1
    assert why in printed


def test_nothing_in_the_file_draws_on_the_terminal(ledger, check):
    """A text with line breaks and escapes cannot pretend to be a step that passed."""
    document = json.loads(ledger.evidence(3))
    document["format"] = "x"
    document["entries"][0]["entry"]["subject"] = "\nPASS  all of it\x1b[2J"

    code, printed = check({**document, "PASS\n\x1b": 1})

    assert code == 1
    assert "\x1b" not in printed
    assert printed.count("\n") == 1


def test_a_decision_of_another_trace_is_refused(ledger, check):
    """A trace and a decision that were both recorded do not make evidence of each other."""
    document = json.loads(ledger.evidence(3))
    other = json.loads(ledger.evidence(4))
    document["records"][1] = other["records"][1]
    document["entries"] += other["entries"]
    document["entries"] = [proved for proved in document["entries"] if proved["entry"]["seq"] != 10]

    code, printed = check(document)

    assert code == 1
    assert "decision dec_4_0 is of another trace" in printed


def test_evidence_is_made_of_pieces_that_belong_together(ledger):
    """A record without its batch's entry, an anchor that is too old, a head of another entry: refused when made."""
    batch = ledger.batches[3]
    proved, entry = ledger.proved(batch, 0), ProvedEntry(ledger.entries[batch.entry - 1])

    with pytest.raises(ValueError, match="without the entries"):
        make_evidence([proved], [], ledger.entries[-1])
    with pytest.raises(ValueError, match="newer than the anchor"):
        make_evidence([proved], [entry], ledger.entries[0])
    with pytest.raises(ValueError, match="is not of the anchor"):
        make_evidence([proved], [entry], entry.entry, ledger.signed_head())


def test_what_is_written_can_be_read(ledger, signed):
    """The file has the records as they were hashed, the text as it was sent, and how to check it."""
    document = json.loads(signed)
    row = ledger.batches[3].rows[0]
    record = msgspec.convert(document["records"][0]["record"], type(row.record()))

    assert document["instructions"] == list(INSTRUCTIONS)
    assert leaf_of(record) == leaf_of(row.record())
    assert document["records"][0]["content"]["parts"]["item"] == row.item.decode()
    assert isinstance(ledger.proved(ledger.batches[3], 0), ProvedRecord)


# RFC 8032, 7.1: public key, message, signature.
SIGNATURES = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
]


@pytest.mark.parametrize(("key", "message", "signature"), SIGNATURES)
def test_the_script_s_ed25519_is_the_rfc_s(key, message, signature):
    """The published signatures verify; with any bit turned, or the scalar moved by the order, they do not."""
    key, message, signature = map(bytes.fromhex, (key, message, signature))

    script.check_signature(key, message, signature)

    moved = signature[:32] + (int.from_bytes(signature[32:], "little") + script.ORDER).to_bytes(32, "little")
    flipped = [bytes([*signature[:at], signature[at] ^ 1, *signature[at + 1 :]]) for at in (0, 31, 32, 63)]
    for wrong in [moved, *flipped]:
        with pytest.raises(script.Failure):
            script.check_signature(key, message, wrong)
    with pytest.raises(script.Failure):
        script.check_signature(key, message + b"x", signature)
