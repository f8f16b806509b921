"""A tree as the text of a search, which parses to the same tree."""

import re

from execlave_server.datadog.search.query import (
    MESSAGE,
    And,
    Comparison,
    Everything,
    Exists,
    Field,
    FieldKind,
    InNetworks,
    Not,
    Or,
    Pattern,
    Phrase,
    Query,
    Range,
    Term,
    Value,
    Wildcard,
)

_SPECIAL = re.compile(r'[\s()\[\]{}":*?&|\\]')
_SPECIAL_AT_START = re.compile(r"[-!<>=#@]")
_OPERATORS = {"AND", "OR", "NOT"}


def print_query(query: Query) -> str:  # noqa: PLR0911 - one for each kind
    """The text of a search."""
    match query:
        case Everything():
            return "*"
        case And(items):
            return " ".join(f"({print_query(item)})" if isinstance(item, Or) else print_query(item) for item in items)
        case Or(items):
            return " OR ".join(print_query(item) for item in items)
        case Not(And() | Or() as item):
            return f"-({print_query(item)})"
        case Not(item):
            return "-" + print_query(item)
        case InNetworks(field, networks):
            return f"CIDR({_print_name(field)},{','.join(networks)})"
        case Term(field, value):
            if field == MESSAGE and not isinstance(value, Exists):
                return _print_value(value)
            return f"{_print_name(field)}:{_print_value(value)}"


def _print_name(field: Field) -> str:
    match field.kind:
        case FieldKind.ATTRIBUTE:
            return "@" + _SPECIAL.sub(r"\\\g<0>", field.name)
        case FieldKind.CALCULATED:
            return "#" + _SPECIAL.sub(r"\\\g<0>", field.name)
        case FieldKind.FULL_TEXT:
            return "*"
        case FieldKind.MESSAGE:
            return "message"
        case FieldKind.TAG | FieldKind.RESERVED:
            return _escape(field.name)


def _print_value(value: Value) -> str:
    match value:
        case Pattern(pieces):
            if value.literal in _OPERATORS:
                return f"\\{value.literal}"
            text = "".join(
                piece.value if isinstance(piece, Wildcard) else _SPECIAL.sub(r"\\\g<0>", piece) for piece in pieces
            )
            return f"\\{text}" if _SPECIAL_AT_START.match(text) else text
        case Phrase(text):
            escaped = text.replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped}"'
        case Comparison(operator, number):
            return f"{operator.value}{number!r}"
        case Range(low, high):
            opening, closing = "[" if value.with_low else "{", "]" if value.with_high else "}"
            return f"{opening}{_print_limit(low)} TO {_print_limit(high)}{closing}"
        case Exists():
            return "*"


def _print_limit(limit: float | None) -> str:
    return "*" if limit is None else repr(limit)


def _escape(text: str) -> str:
    escaped = _SPECIAL.sub(r"\\\g<0>", text)
    return f"\\{escaped}" if _SPECIAL_AT_START.match(escaped) else escaped
