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
_SAYING = frozenset((*COUNT_KEYS, *SOURCE_KEYS))


def data_restriction(rule: DataRestrictionRule) -> Check:
    """How many records an action touches and where they come from, as far as it says."""
    most = rule.max_records
    allowed = None if rule.allowed_sources is None else NamePatterns(rule.allowed_sources)
    denied = NamePatterns(rule.denied_sources)
    too_many = Breach(
        "data_restriction.max_records",
        f"The action touches more than {most or 0:,} records",
        "Ask for fewer records at once.",
    )
    asks_sources = allowed is not None or bool(rule.denied_sources)

    def check(action: Action, facts: Facts) -> Breach | None:  # noqa: ARG001 - the action is all it takes
        said = declarations_of(action)
        if most is not None and records_of(action, said) > most:
            return too_many
        if not asks_sources:
            return None
        for source in sources_in(said):
            if source in denied:
                return _DENIED_SOURCE
            if allowed is not None and source not in allowed:
                return _SOURCE_NOT_ALLOWED
        return None

    return check


def declarations_of(action: Action) -> list[dict[str, Any]]:
    """Where an action says what it touches: its metadata, and the arguments within."""
    metadata = action.metadata
    said = [] if metadata.keys().isdisjoint(_SAYING) else [metadata]
    for key in ARGUMENT_KEYS:
        if key in metadata:
            arguments = _decoded(metadata[key])
            if isinstance(arguments, dict) and not arguments.keys().isdisjoint(_SAYING):
                said.append(arguments)
    return said


def records_of(action: Action, said: list[dict[str, Any]]) -> float:
    """The largest count that the action declares or that a tool's output, a list, shows."""
    most = 0.0
    for declared in said:
        for key in COUNT_KEYS:
            count = declared.get(key)
            if isinstance(count, int | float) and count > most:
                most = float(count)
    for item in action.tool_outputs:
        if isinstance(item, dict):
            most = max(most, _records(item.get("output")))
    return most if action.output is None else max(most, _records(action.output))


def sources_in(said: list[dict[str, Any]]) -> list[str]:
    """Every source that the action declares."""
    sources: list[str] = []
    for declared in said:
        for key in SOURCE_KEYS:
            value = declared.get(key)
            if isinstance(value, str):
                sources.append(value)
            elif isinstance(value, list):
                sources.extend(source for source in value if isinstance(source, str))
    return sources


def _records(output: Any) -> int:
    value = _decoded(output)
    return len(value) if isinstance(value, list) else 0


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
