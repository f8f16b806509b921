#!/usr/bin/env python3
# ruff: noqa: ANN001, ANN002, ANN201, N818, PTH123, T201
"""Check an evidence file of execlave-server, offline, with nothing but Python 3.9 or newer.

    python3 verify_evidence.py evidence.json
    python3 verify_evidence.py evidence.json --head heads.jsonl --key <the server's public key>
    python3 verify_evidence.py incident.json
    python3 verify_evidence.py evidence.json --audit-hash <execlave.audit_hash of the log in Datadog>

Exit code 0 when every step holds, 1 when one does not. What is proved and what is not: docs/explanation/evidence.md;
the format: docs/reference/evidence-format.md.
"""

import argparse
import hashlib
import json
import re
import sys

EVIDENCE_KEYS = {"format", "version", "instructions", "records", "entries", "anchor"}
ENTRY_KEYS = {"actor", "at_us", "details", "hash", "history", "kind", "organization", "previous", "seq", "subject"}
HEAD_KEYS = {"at_us", "format", "hash", "key", "organization", "seq", "signature", "version"}
RECORD_TAGS = {"trace": b"T\x01", "decision": b"D\x01"}
ENTRY_TAG, HEAD_TAG = b"A\x01", b"H\x01"


class Failure(Exception):
    """A step that does not hold; the text says which and why."""


def require(holds, why):
    """Go on only if it holds."""
    if not holds:
        raise Failure(why)


def say(verdict, text):
    """Print a step. Nothing in the file may draw on the terminal."""
    print(verdict, "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text))


# --- reading -----------------------------------------------------------------------------------------------------


def object_without_repeats(pairs):
    """A JSON object; one that names a key twice could mean two things."""
    keys = [key for key, _ in pairs]
    require(len(keys) == len(set(keys)), f"a key stands twice in one object: {sorted(keys)}")
    return dict(pairs)


def no_float(text):
    """Evidence has integers only."""
    raise Failure(f"{text} is not an integer")


def read_json(text):
    """A JSON document, read strictly."""
    return json.loads(text, object_pairs_hook=object_without_repeats, parse_float=no_float, parse_constant=no_float)


def canonical(value):
    """The canonical JSON that hashes are made over."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def keys(value, wanted, what, optional=()):
    """The object, which has exactly these keys."""
    require(isinstance(value, dict), f"{what} is not an object")
    require(set(value) - set(optional) == set(wanted), f"{what} has the keys {sorted(value)}, not {sorted(wanted)}")
    return value


def unhex(text, size=32):
    """Hexadecimal digits as bytes, in the one way of writing them."""
    require(isinstance(text, str) and re.fullmatch(f"[0-9a-f]{{{2 * size}}}", text), f"{text!r} is not {size} bytes")
    return bytes.fromhex(text)


def natural(value, what):
    """A number from 0."""
    require(type(value) is int and value >= 0, f"{what} is {value!r}, not a number")
    return value


# --- hashes ------------------------------------------------------------------------------------------------------


def sha(*pieces):
    """SHA-256 of the pieces, joined."""
    return hashlib.sha256(b"".join(pieces)).digest()


def climb(leaf, index, size, path):
    """The root of a tree of `size` leaves over this one (RFC 6962: the left side is the largest power of two)."""
    require(index < size, f"there is no leaf {index} in a tree of {size}")
    if size == 1:
        require(not path, "the inclusion proof is too long")
        return leaf
    require(path, "the inclusion proof is too short")
    left = 1 << ((size - 1).bit_length() - 1)
    if index < left:
        return sha(b"\x01", climb(leaf, index, left, path[:-1]), unhex(path[-1]))
    return sha(b"\x01", unhex(path[-1]), climb(leaf, index - left, size - left, path[:-1]))


def entry_hash(entry):
    """The hash of an audit entry."""
    return sha(ENTRY_TAG, canonical({key: value for key, value in entry.items() if key != "hash"}))


# --- Ed25519 (RFC 8032), slow and short: one signature takes a few milliseconds -----------------------------------

PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
CURVE = -121665 * pow(121666, -1, PRIME) % PRIME


def point(encoded):
    """A point of the curve as (X, Y, Z, T), or a failure."""
    y = int.from_bytes(encoded, "little")
    odd, y = y >> 255, y & (2**255 - 1)
    square = (y * y - 1) * pow(CURVE * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if (x * x - square) % PRIME:
        x = x * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    require(y < PRIME and (x * x - square) % PRIME == 0 and not (x == 0 and odd), "no point of the curve")
    if x % 2 != odd:
        x = PRIME - x
    return x, y, 1, x * y % PRIME


def add(first, second):
    """The sum of two points."""
    x1, y1, z1, t1 = first
    x2, y2, z2, t2 = second
    a, b = (y1 - x1) * (y2 - x2) % PRIME, (y1 + x1) * (y2 + x2) % PRIME
    c, d = 2 * t1 * t2 * CURVE % PRIME, 2 * z1 * z2 % PRIME
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % PRIME, g * h % PRIME, f * g % PRIME, e * h % PRIME


def multiply(scalar, base):
    """A point, so many times."""
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, base)
        base, scalar = add(base, base), scalar >> 1
    return result


def check_signature(public_key, message, signature):
    """Fail unless the signature is of this key over this message."""
    base = point((4 * pow(5, -1, PRIME) % PRIME).to_bytes(32, "little"))
    scalar = int.from_bytes(signature[32:], "little")
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % ORDER
    x1, y1, z1, _ = multiply(scalar, base)
    x2, y2, z2, _ = add(point(signature[:32]), multiply(challenge, point(public_key)))
    same = (x1 * z2 - x2 * z1) % PRIME == 0 and (y1 * z2 - y2 * z1) % PRIME == 0
    require(scalar < ORDER and same, "the signature is not of this key over this head")


# --- the steps ---------------------------------------------------------------------------------------------------


def check_entry(entry):
    """An entry hashes to what it says; that hash."""
    keys(entry, ENTRY_KEYS, "an entry")
    number = natural(entry["seq"], "an entry's seq")
    require(number > 0, "entries are numbered from 1")
    require(entry_hash(entry) == unhex(entry["hash"]), f"entry {number} does not hash to its hash: it was changed")
    return entry


def check_history(proved, anchor):
    """An entry is the anchor or stands in the anchor's history."""
    entry = check_entry(keys(proved, {"entry", "path"}, "a proved entry")["entry"])
    require(entry["organization"] == anchor["organization"], f"entry {entry['seq']} is of another organization")
    if entry["seq"] == anchor["seq"]:
        require(entry == anchor and proved["path"] == [], f"entry {entry['seq']} stands here in two versions")
        return entry
    require(entry["seq"] < anchor["seq"], f"entry {entry['seq']} is newer than the anchor")
    leaf = sha(b"\x00", unhex(entry["hash"]))
    history = climb(leaf, entry["seq"] - 1, anchor["seq"] - 1, proved["path"])
    require(history == unhex(anchor["history"]), f"entry {entry['seq']} is not in the history of the anchor")
    return entry


def check_content(name, record, content):
    """The content that stands here is what was recorded; what to say of it."""
    digests = record["content"]
    if content is None:
        return f"{name}: its content is not in this file (erased or withheld); the record stands without it"
    keys(content, {"parts", "salt"}, f"the content of the {name}")
    salt, parts = unhex(content["salt"], 16), content["parts"]
    require(isinstance(parts, dict) and set(parts) <= set(digests), f"the {name} has parts that were never recorded")
    for part, text in parts.items():
        digest = sha(salt, part.encode(), b"\x00", text.encode("utf-8"))
        require(digest == unhex(digests[part]), f"{part} of the {name} is not what was recorded: it was changed")
    withheld = sorted(set(digests) - set(parts))
    return f"{name}: {', '.join(sorted(parts)) or 'no part'} as recorded" + (
        f"; not here: {withheld}" if withheld else ""
    )


def check_record(proved, entries):
    """A record is a leaf of the batch whose root is in an entry; (kind, record, leaf hash, that entry)."""
    keys(proved, {"kind", "version", "record", "proof"}, "a record", optional={"content"})
    kind, record, proof = proved["kind"], proved["record"], keys(proved["proof"], {"entry", "index", "path"}, "a proof")
    require(kind in RECORD_TAGS and proved["version"] == 1, f"unknown kind or version of record: {kind}")
    require(type(proved["version"]) is int, "the version is no number")
    entry = entries.get(natural(proof["entry"], "a proof's entry"))
    require(entry and entry["kind"] == "batch.root", f"entry {proof['entry']} is no batch root in this file")
    require(record["organization"] == entry["organization"], f"the {kind} is of another organization")
    say("PASS ", check_content(kind, record, proved.get("content")))
    leaf, details = sha(b"\x00", RECORD_TAGS[kind], canonical(record)), entry["details"]
    index = natural(proof["index"], "a proof's index")
    require((index < details["traces"]) == (kind == "trace"), f"leaf {index} of the batch is no {kind}")
    root = climb(leaf, index, details["leaves"], proof["path"])
    require(root == unhex(details["root"]), f"the {kind} is not in the batch of entry {entry['seq']}: it was changed")
    batch = f"batch {details['batch']}, recorded by entry {entry['seq']}"
    say("PASS ", f"{kind}: leaf {index} of {details['leaves']} in {batch}")
    return kind, record, leaf, entry


def check_agreement(records, entries):
    """The decision belongs to the trace, and what the chain says of it is what stands here."""
    traces = {record["trace_id"] for kind, record, _, _ in records if kind == "trace"}
    decisions = {record["decision_id"]: (record, leaf) for kind, record, leaf, _ in records if kind == "decision"}
    for identity, (record, _) in decisions.items():
        linked = not traces or record.get("trace_id") in traces | {None}
        require(linked, f"decision {identity} is of another trace")
    for entry in entries.values():
        if entry["kind"] == "decision.recorded":
            _, leaf = decisions.get(entry["details"]["decision"], (None, None))
            require(leaf == unhex(entry["details"]["leaf"]), f"entry {entry['seq']} records another decision")
            say("PASS ", f"decision: it is the one that entry {entry['seq']} records by itself")


def check_head(head, anchor, key):
    """A head is signed and of the anchor."""
    keys(head, HEAD_KEYS, "a head")
    require(head["format"] == "execlave-head" and type(head["version"]) is int, "not a head")
    require(head["version"] == 1, f"unknown version of head: {head['version']}")
    require(key is None or head["key"] == key, f"the head is signed by another key, {head['key']}")
    signed = {name: head[name] for name in ("at_us", "hash", "organization", "seq")}
    check_signature(unhex(head["key"]), HEAD_TAG + canonical(signed), unhex(head["signature"], 64))
    same = all(
        type(head[name]) is type(anchor[name]) and head[name] == anchor[name] for name in ("organization", "seq")
    )
    require(same, f"the head is of entry {head['seq']}, the anchor is entry {anchor['seq']}")
    require(
        head["hash"] == anchor["hash"], f"entry {anchor['seq']} is not the one that the head is of: history changed"
    )


def check_heads(lines, anchor, key):
    """Among the heads kept apart, those of the anchor's number agree with it, and there is one."""
    heads = [read_json(line) for line in lines.splitlines() if line.strip()]
    ours = [head for head in heads if head["organization"] == anchor["organization"]]
    matching = [head for head in ours if head["seq"] == anchor["seq"]]
    there_are = ", ".join(str(head["seq"]) for head in ours[-5:]) or "none of this organization"
    require(matching, f"no head of entry {anchor['seq']}; the newest heads are of: {there_are}. Export for one of them")
    for head in matching:
        check_head(head, anchor, key)
    say("PASS ", f"head kept apart: it names entry {anchor['seq']}, signed by {matching[0]['key']}")


def check(evidence, heads, key, audit_hash):
    """Every step, printed as it is done. Raises Failure at the first that does not hold."""
    keys(evidence, EVIDENCE_KEYS, "the file")
    require(evidence["format"] == "execlave-evidence", "this is not an evidence file")
    require(type(evidence["version"]) is int and evidence["version"] == 1, "a version that this script does not know")
    anchored = keys(evidence["anchor"], {"entry"}, "the anchor", optional={"head"})
    anchor = check_entry(anchored["entry"])
    say("PASS ", f"anchor: entry {anchor['seq']} of {anchor['organization']}, {anchor['hash']}")
    entries = {}
    for proved in evidence["entries"]:
        entry = check_history(proved, anchor)
        require(entry["seq"] not in entries, f"entry {entry['seq']} stands here twice")
        entries[entry["seq"]] = entry
        say("PASS ", f"entry {entry['seq']}, {entry['kind']} {entry['subject']}: in the history of the anchor")
    require(evidence["records"], "the file has no records")
    records = [check_record(proved, entries) for proved in evidence["records"]]
    require(len({leaf for _, _, leaf, _ in records}) == len(records), "a record stands here twice")
    check_agreement(records, entries)
    if "head" in anchored:
        check_head(anchored["head"], anchor, key)
        say("PASS ", f"head in this file: signed by {anchored['head']['key']}")
    if heads is not None:
        check_heads(heads, anchor, key)
    if audit_hash is not None:
        known = {entry["hash"] for _, _, _, entry in records}
        require(audit_hash in known, f"the log in Datadog carries {audit_hash}, the batch here {sorted(known)}")
        say("PASS ", "Datadog: the log carries the hash of the entry of this batch")
    require(key is None or heads is not None or "head" in anchored, "--key was given, and there is no head to check")
    if heads is None and audit_hash is None:
        say(
            "NOTE ", "nothing outside this file was compared: it agrees with itself, which alone proves little (--head)"
        )


def check_bundle(bundle, heads, key):
    """Every trace of an incident's evidence bundle. Raises Failure at the first step that does not hold."""
    require(type(bundle["version"]) is int and bundle["version"] == 1, "a version that this script does not know")
    require(bundle["evidence"], "the bundle proves no trace")
    for proved in bundle["evidence"]:
        keys(proved, {"traceId", "evidence"}, "a trace of the bundle")
        say("TRACE", proved["traceId"])
        of_traces = [each["record"] for each in proved["evidence"]["records"] if each["kind"] == "trace"]
        named = {record["trace_id"] for record in of_traces}
        require(named == {proved["traceId"]}, f"the evidence of {proved['traceId']} is of {sorted(named)}")
        check(proved["evidence"], heads, key, None)
    for each in bundle["unproved"]:
        say("NOTE ", f"{each['traceId']} is not proved here: {each['why']}")


def main(arguments=None):
    """Check the file named on the command line; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="the evidence file")
    parser.add_argument("--head", metavar="FILE", help="heads kept apart from the server, one JSON object a line")
    parser.add_argument("--key", metavar="HEX", help="the server's public key, which must have signed the heads")
    parser.add_argument("--audit-hash", metavar="HEX", help="execlave.audit_hash of the log in Datadog")
    options = parser.parse_args(arguments)
    try:
        with open(options.file, encoding="utf-8") as file:
            evidence = read_json(file.read())
        heads = None
        if options.head:
            with open(options.head, encoding="utf-8") as file:
                heads = file.read()
        if isinstance(evidence, dict) and evidence.get("format") == "execlave-incident":
            require(options.audit_hash is None, "--audit-hash is of one trace; give that trace's evidence file")
            check_bundle(evidence, heads, options.key)
        else:
            check(evidence, heads, options.key, options.audit_hash)
    except Failure as failure:
        say("FAIL ", f"{failure}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        say("FAIL ", f"the file is not evidence as it should be: {type(error).__name__}: {error}")
    else:
        say("PASS ", "all of it")
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
