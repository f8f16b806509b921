"""Whether a search finds a log, as Datadog holds it after its preprocessing."""

import operator
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, TypeAlias

from msgspec import Struct

from execlave_server.datadog.attributes import Attributes, leaves, text_of, values_at
from execlave_server.datadog.search.query import (
    And,
    Comparison,
    Everything,
    Exists,
    Field,
    FieldKind,
    InNetworks,
    Not,
    Operator,
    Or,
    Pattern,
    Phrase,
    Query,
    Range,
    Term,
    Value,
)
from execlave_server.datadog.search.read_values import read_number
from execlave_server.datadog.search.text_patterns import whole_text, words_within


class SearchableLog(Struct, frozen=True):
    """One log as it is searched. `status` is the severity; `attributes` are as sent, less what Datadog takes out."""

    message: str = ""
    status: str = "info"
    host: str | None = None
    service: str | None = None
    source: str | None = None
    trace_id: str | None = None
    timestamp_ms: int = 0
    tags: Sequence[str] = ()
    attributes: Attributes = {}


LogTest: TypeAlias = Callable[[SearchableLog], bool]
LeafTest: TypeAlias = Callable[[Any], bool]

_OPERATORS: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.GREATER: operator.gt,
    Operator.GREATER_OR_EQUAL: operator.ge,
    Operator.LESS: operator.lt,
    Operator.LESS_OR_EQUAL: operator.le,
}


def matches(query: Query, log: SearchableLog) -> bool:
    """True when the search finds the log. For many logs compile the search once."""
    return compile_query(query)(log)


def compile_query(query: Query) -> LogTest:
    """The search as one function of a log."""
    match query:
        case Everything():
            return lambda _log: True
        case Not(item):
            test = compile_query(item)
            return lambda log: not test(log)
        case And(items):
            tests = [compile_query(item) for item in items]
            return lambda log: all(test(log) for test in tests)
        case Or(items):
            tests = [compile_query(item) for item in items]
            return lambda log: any(test(log) for test in tests)
        case InNetworks(field, networks):
            return _in_networks(field, networks)
        case Term(field, value):
            return _term(field, value)


def weigh_query(query: Query) -> int:
    """How much a search costs for each log, in looks at one attribute, which take about a microsecond.

    A pattern takes time by its length too, where it is too long for an automaton without choices.
    """
    match query:
        case And(items) | Or(items):
            return sum(weigh_query(item) for item in items)
        case Not(item):
            return weigh_query(item)
        case Term(field, value):
            pieces = len(value.pieces) if isinstance(value, Pattern) else 1
            return pieces * ATTRIBUTES_PER_LOG if field.kind is FieldKind.FULL_TEXT else pieces
        case _:
            return 1


ATTRIBUTES_PER_LOG = 25  # a full one of ours, which a search everywhere looks through


def _term(field: Field, value: Value) -> LogTest:
    match field.kind:
        case FieldKind.MESSAGE:
            return _message(value)
        case FieldKind.FULL_TEXT:
            return _full_text(value)
        case FieldKind.ATTRIBUTE:
            return _attribute(field.name, value)
        case FieldKind.TAG:
            return _tag(field.name, value)
        case FieldKind.RESERVED:
            return _reserved(field.name, value)
        case FieldKind.CALCULATED:
            return lambda _log: False  # calculated fields are defined at Datadog, so nothing here has one


def _message(value: Value) -> LogTest:
    if isinstance(value, Pattern | Phrase):
        within = words_within(value)
        return lambda log: within(log.message)
    return lambda log: bool(log.message)  # the language has only existence left for it


def _full_text(value: Value) -> LogTest:
    if not isinstance(value, Pattern | Phrase):
        return lambda _log: True
    within = words_within(value)
    return lambda log: within(log.message) or any(within(text_of(leaf)) for leaf in leaves(log.attributes))


def _attribute(path: str, value: Value) -> LogTest:
    if isinstance(value, Exists):
        return lambda log: any(_is_something(found) for found in values_at(log.attributes, path))
    test = leaf_test(value)
    return lambda log: any(test(found) for found in values_at(log.attributes, path))


def _is_something(found: Any) -> bool:
    """Datadog keeps no empty object."""
    return isinstance(found, str | int | float) or any(True for _ in leaves(found))


def leaf_test(value: Value) -> LeafTest:
    """The test of one attribute's value: numbers compare as numbers, texts whole and by letter."""
    match value:
        case Pattern() | Phrase():
            return _text_or_number(value)
        case Comparison(how, number):
            compare = _OPERATORS[how]
            return lambda leaf: _is_number(leaf) and compare(leaf, number)
        case Range():
            return _within(value)
        case Exists():
            return lambda leaf: leaf is not None


def _text_or_number(value: Pattern | Phrase) -> LeafTest:
    whole = whole_text(value)
    literal = value.text if isinstance(value, Phrase) else value.literal
    number = None if literal is None else read_number(literal)

    def test(leaf: Any) -> bool:
        if isinstance(leaf, str):
            return whole(leaf)
        if number is not None and _is_number(leaf):
            return bool(leaf == number)
        return isinstance(leaf, int | float) and whole(text_of(leaf))

    return test


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, int | float) and not isinstance(leaf, bool)


def _within(limits: Range) -> LeafTest:
    above = operator.ge if limits.with_low else operator.gt
    below = operator.le if limits.with_high else operator.lt

    def test(leaf: Any) -> bool:
        if not _is_number(leaf):
            return False
        return (limits.low is None or above(leaf, limits.low)) and (limits.high is None or below(leaf, limits.high))

    return test


def _tag(key: str, value: Value) -> LogTest:
    """A tag is `key:value`, compared as text; a number of a tag is text too and never within a range."""
    prefix = f"{key}:"
    match value:
        case Exists():
            return lambda log: any(tag == key or tag.startswith(prefix) for tag in log.tags)
        case Pattern() | Phrase():
            whole = whole_text(value, prefix)
            return lambda log: any(whole(tag) for tag in log.tags)
        case _:
            return lambda _log: False


def _reserved(name: str, value: Value) -> LogTest:
    if name == "timestamp":
        test = leaf_test(value)
        return lambda log: test(log.timestamp_ms)
    if isinstance(value, Exists):
        return lambda log: any(_texts(log, name))
    if isinstance(value, Comparison | Range):
        return lambda _log: False
    whole = whole_text(value)
    return lambda log: any(whole(text) for text in _texts(log, name))


def _texts(log: SearchableLog, name: str) -> Sequence[str]:
    """The texts of a reserved attribute: of `tags` each whole tag, of the others one or none."""
    if name == "tags":
        return log.tags
    text: str | None = getattr(log, name)
    return () if text is None else (text,)


def _in_networks(field: Field, networks: Sequence[str]) -> LogTest:
    parsed = [ip_network(network) for network in networks]

    def holds(value: Any) -> bool:
        return isinstance(value, str) and _is_within(value, parsed)

    match field.kind:
        case FieldKind.ATTRIBUTE:
            return lambda log: any(holds(found) for found in values_at(log.attributes, field.name))
        case FieldKind.RESERVED if field.name != "timestamp":
            return lambda log: any(holds(text) for text in _texts(log, field.name))
        case FieldKind.TAG:
            prefix = f"{field.name}:"
            return lambda log: any(holds(tag.removeprefix(prefix)) for tag in log.tags if tag.startswith(prefix))
        case _:
            return lambda _log: False


def _is_within(text: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return any(address in network for network in networks)
