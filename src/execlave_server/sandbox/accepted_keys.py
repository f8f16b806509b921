import enum
import hashlib
import uuid
from collections.abc import Iterable
from typing import Final

KEY_HEADER: Final = "DD-API-KEY"


class KeyVerdict(enum.Enum):
    """What the sandbox makes of a request's DD-API-KEY header."""

    MISSING = enum.auto()
    INVALID = enum.auto()
    VALID = enum.auto()


class AcceptedKeys:
    """The API keys taken as valid. Only digests are kept, so that nothing here can print a key."""

    def __init__(self, keys: Iterable[str]) -> None:
        self.replace(keys)

    def __len__(self) -> int:
        return len(self._digests)

    def replace(self, keys: Iterable[str]) -> None:
        """Take these keys from now on, and no others."""
        self._digests = frozenset(digest_key(key) for key in keys)

    def judge(self, key: str | None) -> KeyVerdict:
        """Whether the header's key is one of ours; an empty header is a missing one."""
        if not key:
            return KeyVerdict.MISSING
        return KeyVerdict.VALID if digest_key(key) in self._digests else KeyVerdict.INVALID


def digest_key(key: str) -> bytes:
    """16 bytes that stand for the key."""
    # A header's undecodable bytes arrive as surrogates.
    return hashlib.blake2b(key.encode(errors="surrogateescape"), digest_size=16).digest()


def key_id(key: str) -> str:
    """The UUID the sandbox knows a key by; the same key has the same one."""
    return str(uuid.UUID(bytes=digest_key(key)))
