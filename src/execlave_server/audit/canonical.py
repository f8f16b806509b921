r"""The bytes that digests are made over: a kind byte, a version byte, then canonical JSON.

Canonical JSON is UTF-8 with the keys of every object in the order of their code points, none twice, and no spaces.
Numbers are integers in plain decimal; there are no floats and no nulls, an absent value is an absent key. In strings
only the quote, the backslash and U+0000 to U+001F are escaped: `\b \t \n \f \r`, the others as `\u00xx` in lower case.
Python's `json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)` writes exactly this.
"""

from enum import StrEnum
from hashlib import sha256
from math import isfinite

import msgspec
from msgspec import Struct

VERSION = 1
SALT_BYTES = 16  # random, one for each record: without it a digest of erased content says nothing
NANO = 1_000_000_000
COST_BITS_MAX = 900  # of whole dollars: more is no cost, and no float either

_encode_in_order = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


class RecordKind(StrEnum):
    """What a record is; its first byte."""

    TRACE = "T"
    DECISION = "D"
    ENTRY = "A"
    HEAD = "H"
    EVENT = "E"

    @property
    def header(self) -> bytes:
        """The kind byte and the version byte."""
        return self.encode() + bytes([VERSION])


def ordered_json(record: Struct) -> bytes:
    """The canonical JSON of a struct that declares its fields in sorted order, as every record of `audit` does."""
    return _encode_in_order(record)


def sorted_json(value: object) -> bytes:
    """The canonical JSON of a value without floats, whatever the order of its fields."""
    return _encode_sorted(value)


def salted_digest(salt: bytes, part: bytes, content: bytes) -> str:
    """SHA-256 over salt, name of the part, a zero byte and content, 64 hexadecimal digits."""
    return sha256(b"%b%b\x00%b" % (salt, part, content)).hexdigest()


def nano_usd(usd: float | None) -> int | None:
    """US dollars as an integer of billionths, since canonical JSON has no floats; None where no such number is."""
    if usd is None or (isinstance(usd, int) and usd.bit_length() > COST_BITS_MAX) or not isfinite(nano := usd * NANO):
        return None
    return round(nano)
