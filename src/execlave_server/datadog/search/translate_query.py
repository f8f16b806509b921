"""What of a search the columns of a stored trace decide, and what is left to its log.

A translation is never narrower than the search. Each column is given the values that it may have; where those are
not exactly the search, `residual` is the search that each log must still pass.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import reduce

from msgspec import Struct

from execlave_server.datadog.preprocess import remap_status
from execlave_server.datadog.search.match_log import LogTest, SearchableLog, compile_query, weigh_query
from execlave_server.datadog.search.query import (
    And,
    Everything,
    FieldKind,
    InNetworks,
    Not,
    Or,
    Query,
    Term,
    all_of,
)
from execlave_server.datadog.search.searchable_log import StoredLogs
from execlave_server.model.traces import ID_CHARS_MAX, TraceStatus


class Column(StrEnum):
    """The columns of the covering index, small integers each."""

    STATUS = "status"
    AGENT = "agent"
    ENVIRONMENT = "environment"
    SPAN_TYPE = "span_type"


Labels = Mapping[Column, Mapping[str, int]]
"""The texts that an organization's traces have in each column but the status, with their numbers."""

LABEL_TESTS_MAX = 200_000  # each term asks each label, in a microsecond or two; beyond, the logs are asked instead

_ATTRIBUTES = {
    "status": Column.STATUS,
    "execlave.status": Column.STATUS,
    "agent_id": Column.AGENT,
    "environment": Column.ENVIRONMENT,
    "span_type": Column.SPAN_TYPE,
}
_SAME_FOR_ALL = {"host", "source", "service", "tags"}

Allowed = dict[Column, frozenset[int]]
"""What each column may be; one that is not named may be anything."""


class Translation(Struct, frozen=True):
    """Where `residual` is None the columns decide alone."""

    allowed: Allowed
    residual: Query | None

    @property
    def finds_nothing(self) -> bool:
        """True when no trace can be found, whatever is stored."""
        return any(not numbers for numbers in self.allowed.values())


class Destination(Struct, frozen=True):
    """What a search by `service:`, `tags:` or a tag goes by: the traces are searched as they would arrive there."""

    service: str
    ddtags: str = ""


def translate_query(query: Query, labels: Labels, destination: Destination) -> Translation:
    """A search over stored traces, with the labels read after the newest trace that is to be found.

    With so many terms and labels that asking each would take long, the columns but the status decide nothing.
    """
    if label_tests(query, labels) > LABEL_TESTS_MAX:
        labels = {}
    common = StoredLogs(destination.service, destination.ddtags).common
    return _Translator(labels, common).translate(query, negated=False)


def label_tests(query: Query, labels: Labels) -> int:
    """How many labels a translation asks at the most."""
    return weigh_query(query) * sum(len(of_column) for of_column in labels.values())


class _Translator:
    def __init__(self, labels: Labels, common: SearchableLog) -> None:
        self._labels = labels
        self._common = common

    def translate(self, query: Query, *, negated: bool) -> Translation:
        match query:
            case Everything():
                return _decided(holds=not negated)
            case Not(item):
                return self.translate(item, negated=not negated)
            case And(items) | Or(items):
                parts = [self.translate(item, negated=negated) for item in items]
                together = isinstance(query, And) is not negated
                return reduce(_both, parts) if together else _either(parts, _signed(query, negated=negated))
            case Term() | InNetworks():
                return self._term(query, negated=negated)

    def _term(self, term: Term | InNetworks, *, negated: bool) -> Translation:
        test, field = compile_query(term), term.field
        match field.kind:
            case FieldKind.TAG | FieldKind.CALCULATED:
                return _decided(holds=test(self._common) is not negated)
            case FieldKind.RESERVED if field.name in _SAME_FOR_ALL:
                return _decided(holds=test(self._common) is not negated)
            case FieldKind.RESERVED if field.name == "status":
                severities = {each.code: [SearchableLog(status=remap_status(each.value))] for each in TraceStatus}
                return self._by_column(Column.STATUS, severities, test, term, negated=negated)
            case FieldKind.ATTRIBUTE if self._knows(_ATTRIBUTES.get(field.name)):
                column = _ATTRIBUTES[field.name]
                logs = {
                    number: [SearchableLog(attributes={} if value is None else {field.name: value}) for value in values]
                    for number, values in self._values(column).items()
                }
                return self._by_column(column, logs, test, term, negated=negated)
            case _:
                return Translation({}, _signed(term, negated=negated))

    def _knows(self, column: Column | None) -> bool:
        return column is Column.STATUS or column in self._labels

    def _values(self, column: Column) -> dict[int, Sequence[str | None]]:
        """What the log may say where a column has a number."""
        if column is Column.STATUS:
            return {status.code: [status.value] for status in TraceStatus}
        return {number: _logged(column, label) for label, number in self._labels[column].items()}

    @staticmethod
    def _by_column(
        column: Column,
        logs: Mapping[int, Sequence[SearchableLog]],
        test: LogTest,
        term: Query,
        *,
        negated: bool,
    ) -> Translation:
        outcomes = {
            number: {test(log) is not negated for log in of_number} or {True, False}
            for number, of_number in logs.items()
        }
        allowed = frozenset(number for number, outcome in outcomes.items() if True in outcome)
        exact = all(len(outcomes[number]) == 1 for number in allowed)
        return Translation({column: allowed}, None if exact else _signed(term, negated=negated))


def _logged(column: Column, label: str) -> Sequence[str | None]:
    """What the log says where a label says this.

    Nothing is known where a label is as long as labels may be: it stands for all texts that begin so. An empty one
    stands for none, and of an environment for an empty text too.
    """
    if not label:
        return [None, ""] if column is Column.ENVIRONMENT else [None]
    return [label] if len(label) < ID_CHARS_MAX else []


def _decided(*, holds: bool) -> Translation:
    return Translation({} if holds else {Column.STATUS: frozenset()}, None)


def _signed(query: Query, *, negated: bool) -> Query:
    return Not(query) if negated else query


def _both(one: Translation, other: Translation) -> Translation:
    allowed = dict(one.allowed)
    for column, numbers in other.allowed.items():
        allowed[column] = allowed[column] & numbers if column in allowed else numbers
    residuals = [part.residual for part in (one, other) if part.residual is not None]
    return Translation(allowed, all_of(residuals) if residuals else None)


def _either(parts: Sequence[Translation], query: Query) -> Translation:
    """The smallest box around some boxes; exact where those are, and differ in one column at the most."""
    possible = [part for part in parts if not part.finds_nothing]
    if not possible:
        return _decided(holds=False)
    if len(possible) == 1:
        return possible[0]
    exact = all(part.residual is None for part in possible)
    if exact and any(not part.allowed for part in possible):
        return _decided(holds=True)
    columns = set(possible[0].allowed).intersection(*(part.allowed for part in possible))
    allowed = {column: frozenset[int]().union(*(part.allowed[column] for part in possible)) for column in columns}
    differing = {column for part in possible for column in part.allowed if part.allowed[column] != allowed.get(column)}
    return Translation(allowed, None if exact and len(differing) <= 1 else query)
