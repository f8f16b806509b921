"""The action context: what an approval binds, exactly."""

import hashlib

import msgspec
from msgspec import Raw

SEALED = ("input", "environment", "metadata", "estimatedCost", "tools")  # no more; an absent key stays absent


def seal_context(members: dict[str, Raw]) -> bytes:
    """The canonical JSON of the sealed members of a request, the rest left out.

    Raises msgspec.MsgspecError on malformed JSON, RecursionError on extreme nesting.
    """
    sealed = {name: value for name, value in members.items() if name in SEALED}
    return msgspec.json.encode(msgspec.json.decode(msgspec.json.encode(sealed)), order="sorted")


def digest_context(context: bytes) -> str:
    """The SHA-256 of a canonical action context, 64 hexadecimal digits."""
    return hashlib.sha256(context).hexdigest()
