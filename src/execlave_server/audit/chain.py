"""The hash chain of an organization: each entry commits to the one before it, and to the tree over all before it.

`previous` makes the chain plain to check. `history`, the RFC 6962 root over the hashes of every earlier entry, lets one
entry be proved to stand behind any later one with a few hashes instead of everything in between.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256

import msgspec
from msgspec import Raw, Struct

from execlave_server.audit.canonical import RecordKind, ordered_json, sorted_json
from execlave_server.audit.events import DETAILS, Details, Kind
from execlave_server.audit.findings import Code, Finding
from execlave_server.audit.merkle import (
    HASH_BYTES,
    Frontier,
    RootOfRange,
    append,
    frontier_root,
    inclusion_path,
    leaf_hash,
)
from execlave_server.model.json_bytes import canonical_json

BEGINNING = bytes(HASH_BYTES)  # what the first entry has for the hash of its predecessor
_ENTRY_HEADER = RecordKind.ENTRY.header


class Event(Struct, frozen=True):
    """Something for the chain. `actor` is `person:ID`, `key:ID`, `server` or `command`; `subject` is as `policy:ID`."""

    kind: Kind
    at_us: int
    actor: str
    subject: str
    details: Details


class Head(Struct, frozen=True):
    """How far a chain is: its newest entry's number and hash, and the frontier of the tree over all entries."""

    organization: str
    seq: int = 0
    hash: bytes = BEGINNING
    frontier: Frontier = ()

    @property
    def history(self) -> bytes:
        """The root over every entry so far."""
        return frontier_root(self.frontier)

    def after(self, entry_hash: bytes) -> "Head":
        """The head once an entry of this hash is appended."""
        frontier = append(self.frontier, self.seq, leaf_hash(entry_hash))
        return Head(self.organization, self.seq + 1, entry_hash, frontier)


class Entry(Struct, frozen=True):
    """One entry as stored. `details` is canonical JSON; `kind` may be one that a later version has written."""

    organization: str
    seq: int
    kind: str
    at_us: int
    actor: str
    subject: str
    details: str
    previous: bytes
    history: bytes
    hash: bytes


class EntryRecord(Struct, frozen=True):
    """What an entry's hash is made over, in sorted order."""

    actor: str
    at_us: int
    details: Raw
    history: str
    kind: str
    organization: str
    previous: str
    seq: int
    subject: str


def next_entry(head: Head, event: Event) -> Entry:
    """The entry that an event becomes behind this head. Raises TypeError for details of another kind."""
    if type(event.details) is not DETAILS[event.kind]:
        raise TypeError(f"{event.kind} takes {DETAILS[event.kind].__name__}, not {type(event.details).__name__}")
    entry = Entry(
        organization=head.organization,
        seq=head.seq + 1,
        kind=event.kind.value,
        at_us=event.at_us,
        actor=event.actor,
        subject=event.subject,
        details=sorted_json(event.details).decode(),
        previous=head.hash,
        history=head.history,
        hash=b"",
    )
    return msgspec.structs.replace(entry, hash=hash_of(entry))


def record_of(entry: Entry) -> EntryRecord:
    """The part of an entry that its hash is made over."""
    return EntryRecord(
        actor=entry.actor,
        at_us=entry.at_us,
        details=Raw(entry.details.encode()),
        history=entry.history.hex(),
        kind=entry.kind,
        organization=entry.organization,
        previous=entry.previous.hex(),
        seq=entry.seq,
        subject=entry.subject,
    )


def hash_of(entry: Entry) -> bytes:
    """The hash that the entry's content has now, whatever is stored as its hash."""
    return sha256(_ENTRY_HEADER + ordered_json(record_of(entry))).digest()


def is_canonical(details: str) -> bool:
    """True for details as this module writes them."""
    try:
        return canonical_json(details.encode()) == details.encode()
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError):
        return False


def history_path(seq: int, anchor_seq: int, root_of: RootOfRange) -> list[bytes]:
    """The proof that entry `seq` is in the `history` of the later entry `anchor_seq`.

    `root_of(first, stop)` is the root over `leaf_hash(entry.hash)` of the entries numbered first+1 to stop.
    """
    return inclusion_path(seq - 1, anchor_seq - 1, root_of)


class ChainCheck:
    """Checks entries as they come, in order of seq. Holds one head, however many there are."""

    def __init__(self, start: Head) -> None:
        self.head = start
        self._linked = True  # the hash before the next entry is known
        self._whole = True  # every hash before it is

    def feed(self, entry: Entry) -> Iterator[Finding]:
        """What is wrong with the next entry."""
        expected = self.head.seq + 1
        where = f"entry {entry.seq}"
        if entry.seq < expected:
            yield Finding(Code.ENTRY_REPEATED, where, "stands in the chain twice", f"entry {expected} was to follow")
            return
        if entry.seq > expected:
            yield missing_entries(expected, entry.seq - 1, f"the next one there is is entry {entry.seq}")
            self._linked = self._whole = False
        if entry.organization != self.head.organization:
            yield Finding(Code.ENTRY_CHANGED, where, "is of another organization", f"it names {entry.organization}")
        yield from self._check_content(entry, where)
        yield from self._check_links(entry, where)
        self._advance(entry)

    def _check_content(self, entry: Entry, where: str) -> Iterator[Finding]:
        if hash_of(entry) != entry.hash:
            why = f"its content does not hash to its stored hash {entry.hash.hex()}"
            yield Finding(Code.ENTRY_CHANGED, where, f"was changed ({entry.kind}, {entry.subject})", why)
        elif not is_canonical(entry.details):
            yield Finding(Code.ENTRY_UNREADABLE, where, "has details that are not canonical JSON", entry.kind)

    def _check_links(self, entry: Entry, where: str) -> Iterator[Finding]:
        if self._linked and entry.previous != self.head.hash:
            why = f"it follows {entry.previous.hex()}, but entry {self.head.seq} hashes to {self.head.hash.hex()}"
            yield Finding(Code.CHAIN_BROKEN, where, "does not follow the entry before it", why)
            self._whole = False
        elif self._whole and entry.history != self.head.history:
            why = "the tree over the entries before it has another root than it says"
            yield Finding(Code.CHAIN_BROKEN, where, "does not follow the history before it", why)
            self._whole = False

    def _advance(self, entry: Entry) -> None:
        self._linked = True
        if self._whole:
            self.head = self.head.after(entry.hash)
        else:
            self.head = Head(entry.organization, entry.seq, entry.hash)


def missing_entries(first: int, last: int, why: str) -> Finding:
    """A gap in the numbers of a chain."""
    where = f"entry {first}" if first == last else f"entries {first} to {last}"
    return Finding(Code.ENTRY_MISSING, where, "is not there" if first == last else "are not there", why)


def verify_chain(entries: Iterable[Entry], from_head: Head) -> Iterator[Finding]:
    """What is wrong with a chain that goes on from a head, entry by entry."""
    check = ChainCheck(from_head)
    for entry in entries:
        yield from check.feed(entry)
