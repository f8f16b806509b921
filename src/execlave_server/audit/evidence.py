"""One file that proves a trace and its decision with this server gone. `docs/verify_evidence.py` checks it.

How far the proof reaches: record -> leaf -> root of the batch -> the entry with that root -> history of a later entry,
the anchor. Between the entry and the anchor stand a few hashes, however many entries there are. Whoever holds the
anchor's hash from elsewhere (a signed head, a log in Datadog) need trust nothing in the file.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from execlave_server.audit.canonical import VERSION, RecordKind, ordered_json
from execlave_server.audit.chain import Entry
from execlave_server.audit.head import SignedHead
from execlave_server.audit.records import DecisionRecord, LeafRecord

FORMAT = "execlave-evidence"
FORMAT_VERSION = 1
INSTRUCTIONS = (
    "Check this file offline: python3 verify_evidence.py THIS_FILE --head HEADS (Python 3.9 or newer, nothing else).",
    "The script is docs/verify_evidence.py of execlave-server; HEADS is a file of signed heads kept apart from it.",
    "Without --head the check says only that the file agrees with itself, which anybody can bring about.",
    "--audit-hash takes execlave.audit_hash of the trace's log in Datadog.",
)


class Content(Struct, frozen=True):
    """What a record's digests are of, as text, with the salt. Parts that are erased or withheld are absent."""

    parts: dict[str, str]
    salt: str


class ProvedRecord(Struct, frozen=True):
    """A record and where it stands in its batch's tree; `entry` is the number of the entry with the root."""

    record: LeafRecord
    entry: int
    index: int
    path: Sequence[bytes]
    content: Content | None = None


class ProvedEntry(Struct, frozen=True):
    """An entry and the proof that it is in the anchor's history; no path for the anchor itself."""

    entry: Entry
    path: Sequence[bytes] = ()


class EvidenceEntry(Struct, frozen=True):
    """An entry as an evidence file has it."""

    actor: str
    at_us: int
    details: Raw
    hash: str
    history: str
    kind: str
    organization: str
    previous: str
    seq: int
    subject: str


class _Proof(Struct, frozen=True):
    entry: int
    index: int
    path: list[str]


class _Record(Struct, frozen=True):
    kind: str
    proof: _Proof
    record: Any
    version: int
    content: Content | UnsetType = UNSET


class _Entry(Struct, frozen=True):
    entry: EvidenceEntry
    path: list[str]


class _Anchor(Struct, frozen=True):
    entry: EvidenceEntry
    head: SignedHead | UnsetType = UNSET


class _Evidence(Struct, frozen=True):
    format: str
    version: int
    instructions: Sequence[str]
    records: list[_Record]
    entries: list[_Entry]
    anchor: _Anchor


def make_evidence(
    records: Sequence[ProvedRecord], entries: Sequence[ProvedEntry], anchor: Entry, head: SignedHead | None = None
) -> bytes:
    """The evidence file, indented JSON.

    `entries` holds at least the batch root of every record; `anchor` is not older than any of them. `head`, where
    there is one, must be of the anchor. Raises ValueError where the pieces do not belong together.
    """
    _check_pieces(records, entries, anchor, head)
    evidence = _Evidence(
        format=FORMAT,
        version=FORMAT_VERSION,
        instructions=INSTRUCTIONS,
        records=[_record(proved) for proved in records],
        entries=[_Entry(evidence_entry(proved.entry), _hexadecimal(proved.path)) for proved in entries],
        anchor=_Anchor(evidence_entry(anchor), head or UNSET),
    )
    return msgspec.json.format(ordered_json(evidence), indent=1) + b"\n"


def trace_parts(salt: bytes, item: bytes | None, log: bytes | None) -> Content:
    """A trace's content as far as it is to be shown: what the client sent (unpacked), the middle of its log."""
    given = {"item": item, "log": log}
    return Content({name: part.decode() for name, part in given.items() if part is not None}, salt.hex())


def decision_parts(salt: bytes, action_digest: str, violations: str) -> Content:
    """A decision's content as stored."""
    return Content({"action": action_digest, "violations": violations}, salt.hex())


def evidence_entry(entry: Entry) -> EvidenceEntry:
    """An entry with its hashes as hexadecimal digits."""
    return EvidenceEntry(
        actor=entry.actor,
        at_us=entry.at_us,
        details=Raw(entry.details.encode()),
        hash=entry.hash.hex(),
        history=entry.history.hex(),
        kind=entry.kind,
        organization=entry.organization,
        previous=entry.previous.hex(),
        seq=entry.seq,
        subject=entry.subject,
    )


def _check_pieces(
    records: Sequence[ProvedRecord], entries: Sequence[ProvedEntry], anchor: Entry, head: SignedHead | None
) -> None:
    seqs = {proved.entry.seq for proved in entries}
    missing = {proved.entry for proved in records} - seqs
    if missing:
        raise ValueError(f"evidence without the entries {sorted(missing)} that its records stand on")
    if seqs and max(seqs) > anchor.seq:
        raise ValueError(f"entry {max(seqs)} is newer than the anchor, entry {anchor.seq}")
    if head and (head.organization, head.seq, head.hash) != (anchor.organization, anchor.seq, anchor.hash.hex()):
        raise ValueError(f"the signed head of entry {head.seq} is not of the anchor, entry {anchor.seq}")


def _record(proved: ProvedRecord) -> _Record:
    kind = RecordKind.DECISION if isinstance(proved.record, DecisionRecord) else RecordKind.TRACE
    return _Record(
        kind=kind.name.lower(),
        version=VERSION,
        record=proved.record,
        proof=_Proof(proved.entry, proved.index, _hexadecimal(proved.path)),
        content=proved.content or UNSET,
    )


def _hexadecimal(hashes: Sequence[bytes]) -> list[str]:
    return [one.hex() for one in hashes]
