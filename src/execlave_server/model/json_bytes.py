"""JSON as bytes: mending what strict parsers refuse, and the one canonical form that digests are made over."""

import hashlib
import re

import msgspec

# An escaped backslash, a proper surrogate pair, or half of one. Read left to right, so that a backslash that is
# itself escaped never starts a `\u` escape.
_SURROGATES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_LONE_ESCAPE_LENGTH = 6  # `\ud83d`; a pair is twice as long, an escaped backslash shorter


def mend_surrogates(body: bytes) -> bytes:
    r"""Replace each half surrogate escape with `\ufffd`.

    JavaScript cuts strings in the middle of a pair and JSON.stringify sends the half; it is valid JSON that no UTF-8
    text can hold.
    """
    return _SURROGATES.sub(
        lambda match: rb"\ufffd" if len(match[0]) == _LONE_ESCAPE_LENGTH else match[0],
        body,
    )


def canonical_json(document: bytes) -> bytes:
    """The document with sorted keys and no spaces: equal documents have equal bytes.

    Raises msgspec.MsgspecError on malformed input and RecursionError on extreme nesting.
    """
    return msgspec.json.encode(msgspec.json.decode(document), order="sorted")


def digest(document: bytes) -> str:
    """SHA-256 of the canonical form, 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(document)).hexdigest()
