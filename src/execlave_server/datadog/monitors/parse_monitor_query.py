"""The query of a log monitor: `logs("...").index("*").rollup("sum", "@cost_usd").by("@agent_id").last("1h") > 5`.

Source: Datadog's API reference of monitors, "Create a monitor", log alert queries.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from execlave_server.datadog.monitors.monitor_query import MINUTE_US, Aggregation, Comparator, MonitorQuery
from execlave_server.errors import ValidationFailedError

GROUPS_BY_MAX = 4  # attributes or tags a log monitor may group by
WINDOW_MINUTES_MAX = 2_880  # Datadog takes 1 to 2,880 minutes, or 1 to 48 hours
WINDOW_HOURS_MAX = 48
QUERY_CHARS_MAX = 20_000  # far beyond any query; keeps an error message and a page small

_CALL = re.compile(r"\s*\.?\s*([A-Za-z_]+)\s*\(\s*")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_NEXT = re.compile(r"\s*(,|\))\s*")
_COMPARATOR = re.compile(r"\s*([<>=!]+)\s*")
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")
_WINDOW = re.compile(r"(\d{1,6})([mh])")
_ORDER = ("logs", "index", "rollup", "by", "last")


class MonitorQueryError(ValidationFailedError):
    """A monitor's query that Datadog would not take; `position` counts characters from 0."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(f"{message} (at character {position + 1} of the query)", fields={"query": message})
        self.position = position


class _Argument(NamedTuple):
    text: str
    position: int  # of its first character, after the quote


class _Call(NamedTuple):
    name: str
    position: int
    arguments: tuple[_Argument, ...]


def parse_monitor_query(text: str) -> MonitorQuery:
    """The parts of a log monitor's query. Raises MonitorQueryError, which says where and what would be right.

    The search within `logs("...")` is taken as it stands: `compile_monitor` reads it.
    """
    if len(text) > QUERY_CHARS_MAX:
        _fail(f"the query has {len(text)} characters; {QUERY_CHARS_MAX} are the most", QUERY_CHARS_MAX)
    calls, position = _read_calls(text)
    comparator, threshold = _read_comparison(text, position)
    by_name = {call.name: call for call in calls}
    aggregation, measure = _read_rollup(by_name.get("rollup"), position)
    last = by_name.get("last")
    if last is None:
        _fail('the window is missing: write .last("15m") before the comparison', position)
    return MonitorQuery(
        search=calls[0].arguments[0].text,
        indexes=_read_indexes(by_name.get("index")),
        aggregation=aggregation,
        measure=measure,
        group_by=_read_group_by(by_name.get("by")),
        window_us=_read_window(last),
        comparator=comparator,
        threshold=threshold,
    )


def search_position(text: str, at: int) -> int:
    """Where a character of the search stands in its query, whose quotes and backslashes are escaped."""
    position = text.index('"') + 1
    for _ in range(at):
        position += 2 if text[position : position + 2] in {'\\"', "\\\\"} else 1
    return position


def _read_calls(text: str) -> tuple[list[_Call], int]:
    calls: list[_Call] = []
    position = 0
    while found := _CALL.match(text, position):
        name, at = found[1], found.start(1)
        if not calls and name != "logs":
            _fail(f'a log monitor\'s query begins with logs("..."), not with {name}', at)
        if name not in _ORDER:
            _fail(f"there is no .{name}(...) in a log monitor's query: index, rollup, by and last are known", at)
        if calls and _ORDER.index(name) <= _ORDER.index(calls[-1].name):
            _fail(f".{name}(...) must stand before .{calls[-1].name}(...), and only once", at)
        arguments, position = _read_arguments(text, found.end(), name)
        calls.append(_Call(name, at, arguments))
    if not calls:
        _fail('a log monitor\'s query begins with logs("...")', 0)
    if len(calls[0].arguments) != 1:
        _fail("logs(...) takes one search", calls[0].arguments[1].position)
    return calls, position


def _read_arguments(text: str, position: int, name: str) -> tuple[tuple[_Argument, ...], int]:
    arguments: list[_Argument] = []
    while True:
        found = _STRING.match(text, position)
        if not found:
            _fail(f'{name}(...) takes texts in double quotes, like {name}("...")', position)
        arguments.append(_Argument(re.sub(r'\\(["\\])', r"\1", found[1]), position + 1))
        closing = _NEXT.match(text, found.end())
        if not closing:
            _fail(f"{name}(...) is not closed: a comma or a closing parenthesis is missing", found.end())
        position = closing.end()
        if closing[1] == ")":
            return tuple(arguments), position


def _read_comparison(text: str, position: int) -> tuple[Comparator, float]:
    sign = _COMPARATOR.match(text, position)
    if not sign:
        _fail("the comparison is missing: write one of > >= < <= == != and a number", position)
    if sign[1] not in set(Comparator):
        _fail(f"invalid operator specified: {sign[1]}; write one of > >= < <= == !=", sign.start(1))
    number = _NUMBER.match(text, sign.end())
    if not number:
        _fail("the threshold must be a number", sign.end())
    if text[number.end() :].strip():
        _fail("nothing may follow the threshold", number.end())
    return Comparator(sign[1]), float(number[0])


def _read_rollup(rollup: _Call | None, position: int) -> tuple[Aggregation, str | None]:
    if rollup is None:
        _fail('the aggregation is missing: write .rollup("count") before .by(...) or .last(...)', position)
    function, *measures = rollup.arguments
    if function.text not in set(Aggregation):
        _fail(f"there is no aggregation {function.text!r}; known are {', '.join(Aggregation)}", function.position)
    aggregation = Aggregation(function.text)
    if aggregation is Aggregation.COUNT:
        if measures:
            _fail("count takes no measure; to count distinct values use cardinality", measures[0].position)
        return aggregation, None
    if len(measures) != 1:
        _fail(f'{aggregation} takes one measure, like .rollup("{aggregation}", "@cost_usd")', rollup.position)
    return aggregation, _name(measures[0], "a measure")


def _read_group_by(by: _Call | None) -> tuple[str, ...]:
    """`.by("@a,@b")` and `.by("@a", "@b")` say the same; `*` is no group at all."""
    if by is None or [each.text.strip() for each in by.arguments] == ["*"]:
        return ()
    names: list[str] = []
    for argument in by.arguments:
        position = argument.position
        for piece in argument.text.split(","):
            name = _name(_Argument(piece, position), "what to group by")
            if name in names:
                _fail(f"{name} is grouped by twice", position)
            names.append(name)
            position += len(piece) + 1
    if len(names) > GROUPS_BY_MAX:
        _fail(
            f"a log monitor groups by at most {GROUPS_BY_MAX} attributes or tags; these are {len(names)}", by.position
        )
    return tuple(names)


def _read_indexes(index: _Call | None) -> tuple[str, ...]:
    return tuple(_name(each, "an index") for each in index.arguments) if index else ("*",)


def _read_window(last: _Call) -> int:
    if len(last.arguments) != 1:
        _fail('last(...) takes one window, like .last("15m")', last.arguments[1].position)
    [argument] = last.arguments
    found = _WINDOW.fullmatch(argument.text)
    if not found:
        _fail(
            f"the window {argument.text!r} is not understood: write minutes or hours, like 15m or 4h", argument.position
        )
    number, in_minutes = int(found[1]), found[2] == "m"
    most = WINDOW_MINUTES_MAX if in_minutes else WINDOW_HOURS_MAX
    if not 1 <= number <= most:
        unit = "minutes" if in_minutes else "hours"
        _fail(f"the window {argument.text!r} is out of range: 1 to {most} {unit}", argument.position)
    return number * (MINUTE_US if in_minutes else 60 * MINUTE_US)


def _name(argument: _Argument, what: str) -> str:
    name = argument.text.strip()
    if not name or name == "@" or any(character.isspace() for character in name):
        _fail(f"{argument.text!r} does not name {what}", argument.position)
    return name


def _fail(message: str, position: int) -> NoReturn:
    raise MonitorQueryError(message, position)


def join_monitor_query(query: MonitorQuery) -> str:
    """The query's text again, in Datadog's own order and quoting."""

    def quoted(texts: Sequence[str]) -> str:
        return ", ".join('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts)

    minutes = query.window_minutes
    window = f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}m"
    rollup = [query.aggregation.value, *([query.measure] if query.measure else [])]
    by = f".by({quoted([','.join(query.group_by)])})" if query.group_by else ""
    return (
        f"logs({quoted([query.search])}).index({quoted(query.indexes)}).rollup({quoted(rollup)}){by}"
        f'.last("{window}") {query.comparator} {_digits(query.threshold)}'
    )


def _digits(number: float) -> str:
    return str(int(number)) if number.is_integer() and abs(number) < 1 << 53 else repr(number)
