"""A Tink keyset in its JSON form, as far as a rotation has to know it: which keys there are, which one is primary."""

from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace


class Keyset(Struct, frozen=True, rename="camel"):
    """The keys of a file. The primary one wraps, every one unwraps."""

    primary_key_id: int
    key: list[dict[str, Any]]

    def __repr__(self) -> str:
        return f"Keyset(primary {self.primary_key_id}, {len(self.key)} keys)"

    @property
    def key_ids(self) -> list[int]:
        """The ids of all keys."""
        return [int(key["keyId"]) for key in self.key]

    @property
    def old_ids(self) -> list[int]:
        """The ids of all keys but the primary one."""
        return [key_id for key_id in self.key_ids if key_id != self.primary_key_id]

    @property
    def text(self) -> str:
        """The keyset as Tink reads it."""
        return msgspec.json.encode(self).decode()

    def with_primary(self, other: "Keyset") -> "Keyset":
        """These keys and the other keyset's, whose primary one is the primary one of all."""
        return Keyset(other.primary_key_id, [*self.key, *other.key])

    def only_primary(self) -> "Keyset":
        """The primary key alone."""
        return replace(self, key=[key for key in self.key if int(key["keyId"]) == self.primary_key_id])


def read_keyset(text: str) -> Keyset:
    """A keyset from its text. Raises ValueError when it is none."""
    return msgspec.json.decode(text, type=Keyset)
