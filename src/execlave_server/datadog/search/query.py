"""What a search says, as a tree: `key:(a OR b)` is already spread over its values, and `(a b) c` is one `And`."""

from enum import Enum
from typing import TypeAlias

from msgspec import Struct

Number: TypeAlias = int | float


class FieldKind(Enum):
    """Where a term looks. A reserved attribute is searched without `@`, and so is a tag."""

    MESSAGE = "message"
    ATTRIBUTE = "attribute"
    TAG = "tag"
    RESERVED = "reserved"
    FULL_TEXT = "full text"
    CALCULATED = "calculated field"


class Field(Struct, frozen=True):
    """One place to look. `name` is an attribute's path, a tag's key or a reserved name; empty for the other kinds."""

    kind: FieldKind
    name: str = ""


MESSAGE = Field(FieldKind.MESSAGE)
FULL_TEXT = Field(FieldKind.FULL_TEXT)
RESERVED_NAMES = frozenset({"host", "source", "status", "service", "trace_id", "timestamp", "tags"})


class Wildcard(Enum):
    """`*` and `?`, where they are neither escaped nor inside quotes."""

    ANY = "*"
    ONE = "?"


class Pattern(Struct, frozen=True):
    """A word: literal texts, never two in a row, and wildcards. Never `*` alone, which is `Exists`."""

    pieces: tuple[str | Wildcard, ...]

    @property
    def literal(self) -> str | None:
        """The text, where there is no wildcard in it."""
        [first, *more] = self.pieces
        return first if isinstance(first, str) and not more else None


class Phrase(Struct, frozen=True):
    """What stood in quotes, where nothing is a wildcard."""

    text: str


class Operator(Enum):
    """How a number compares."""

    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    LESS = "<"
    LESS_OR_EQUAL = "<="


class Comparison(Struct, frozen=True):
    """`>100`."""

    operator: Operator
    number: Number


class Range(Struct, frozen=True):
    """`[400 TO 499]` with its ends, `{400 TO 500}` without; None is `*`, no limit on that side."""

    low: Number | None
    high: Number | None
    with_low: bool = True
    with_high: bool = True


class Exists(Struct, frozen=True):
    """`@a:*` and `_exists_:@a`."""


Value: TypeAlias = Pattern | Phrase | Comparison | Range | Exists


class Term(Struct, frozen=True):
    """A value looked for in one place."""

    field: Field
    value: Value


class InNetworks(Struct, frozen=True):
    """`CIDR(@network.client.ip,10.0.0.0/8)`: an address in one of the networks, which are written canonically."""

    field: Field
    networks: tuple[str, ...]


class Everything(Struct, frozen=True):
    """`*`, and the empty search."""


class Not(Struct, frozen=True):
    """`-x`."""

    item: "Query"


class And(Struct, frozen=True):
    """Two or more, none of them an `And`."""

    items: "tuple[Query, ...]"


class Or(Struct, frozen=True):
    """Two or more, none of them an `Or`."""

    items: "tuple[Query, ...]"


Query: TypeAlias = Term | InNetworks | Everything | Not | And | Or


def all_of(items: "list[Query]") -> Query:
    """One `And` of one or more, those that are `And` themselves dissolved in it."""
    flat = [part for item in items for part in (item.items if isinstance(item, And) else (item,))]
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def any_of(items: "list[Query]") -> Query:
    """One `Or` of one or more, those that are `Or` themselves dissolved in it."""
    flat = [part for item in items for part in (item.items if isinstance(item, Or) else (item,))]
    return flat[0] if len(flat) == 1 else Or(tuple(flat))
