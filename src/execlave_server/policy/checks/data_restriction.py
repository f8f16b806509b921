from collections.abc import Iterator
from typing import Any

import msgspec

from execlave_server.model.policy_rules import DataRestrictionRule
from execlave_server.policy.action import Action, Facts
from execlave_server.policy.breaches import Breach, CannotEvaluateError, Check
from execlave_server.policy.texts import TEXT_BYTES_MAX
from execlave_server.policy.wildcards import NamePatterns

COUNT_KEYS = ("recordCount", "record_count")
SOURCE_KEYS = ("dataSource", "data_source", "dataSources", "data_sources")
ARGUMENT_KEYS = ("toolArguments", "toolInput")  # where adapters put the arguments


def data_restriction(rule: DataRestrictionRule) -> Check:
    """How many records an action touches and where they come from, as far as it says."""
    most = rule.max_records
    allowed = None if rule.allowed_sources is None else NamePatterns(rule.allowed_sources)
    denied = NamePatterns(rule.denied_sources)
    asks_sources = allowed is not None or bool(rule.denied_sources)

    def check(action: Action, facts: Facts) -> Breach | None:  # noqa: ARG001 - the action is all it takes
        if most is not None and records_of(action) > most:
            return Breach(
                "data_restriction.max_records",
                f"The action touches more than {most:,} records",
                "Ask for fewer records at once.",
            )
        for source in sources_of(action) if asks_sources else ():
            if source in denied:
                return _DENIED_SOURCE
            if allowed is not None and source not in allowed:
                return _SOURCE_NOT_ALLOWED
        return None

    return check


def records_of(action: Action) -> float:
    """The largest count that the action declares or that a tool's output, a list, shows."""
    most = 0.0
    for said in _said(action):
        for key in COUNT_KEYS:
            count = said.get(key)
            if isinstance(count, int | float):
                most = max(most, float(count))
    for item in (*action.tool_outputs, {"output": action.output}):
        records = _records(item.get("output")) if isinstance(item, dict) else None
        most = max(most, float(len(records or ())))
    return most


def sources_of(action: Action) -> Iterator[str]:
    """Every source that the action declares."""
    for said in _said(action):
        for key in SOURCE_KEYS:
            value = said.get(key)
            values = value if isinstance(value, list) else [value]
            yield from (source for source in values if isinstance(source, str))


def _said(action: Action) -> Iterator[dict[str, Any]]:
    yield action.metadata
    for key in ARGUMENT_KEYS:
        arguments = _decoded(action.metadata.get(key))
        if isinstance(arguments, dict):
            yield arguments


def _records(output: Any) -> list[Any] | None:
    value = _decoded(output)
    return value if isinstance(value, list) else None


def _decoded(value: Any) -> Any:
    """JSON in a string is read, as adapters write both."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    if len(value) > TEXT_BYTES_MAX:
        raise CannotEvaluateError("an output is too large to count its records")
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return value


_DENIED_SOURCE = Breach(
    "data_restriction.denied_source",
    "The action reads a denied data source",
    "Use another source, or ask for this one to be taken from denied_sources.",
)
_SOURCE_NOT_ALLOWED = Breach(
    "data_restriction.source_not_allowed",
    "The action reads a data source that is not among the allowed ones",
    "Use an allowed source, or ask for this one to be added to allowed_sources.",
)
