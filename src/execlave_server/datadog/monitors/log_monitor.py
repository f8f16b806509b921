"""A monitor that reads logs: which belong to it, to which group, and what it says when it fires."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice, product
from typing import Any

from execlave_server.datadog.attributes import values_at
from execlave_server.datadog.facets import RESERVED, facet_values
from execlave_server.datadog.monitors.evaluate_monitor import Change, Group, MonitorEvaluation, Why
from execlave_server.datadog.monitors.monitor_definition import MonitorDefinition, require_valid
from execlave_server.datadog.monitors.monitor_query import Aggregation
from execlave_server.datadog.monitors.parse_monitor_query import (
    MonitorQueryError,
    parse_monitor_query,
    search_position,
)
from execlave_server.datadog.monitors.render_message import MessageFacts, MessageTemplateError, render_message
from execlave_server.datadog.search.match_log import SearchableLog, compile_query
from execlave_server.datadog.search.parse_query import parse_query
from execlave_server.errors import SearchSyntaxError

VALUES_MAX = 100  # groups one log may belong to, where it has several values; keeps one log from making thousands
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LogMonitor:
    """A monitor at work: give it every log once with `add`, and ask `evaluate` as often as Datadog would.

    Raises MonitorQueryError and ValidationFailedError for what Datadog would refuse.
    """

    def __init__(self, definition: MonitorDefinition) -> None:
        self.definition = definition
        self.query = parse_monitor_query(definition.query)
        require_valid(definition, self.query)
        try:
            self._matches = compile_query(parse_query(self.query.search))
        except SearchSyntaxError as error:
            at = search_position(definition.query, error.position)
            raise MonitorQueryError(f"the search cannot be read: {error.fields['query']}", at) from error
        self.evaluation = MonitorEvaluation(definition, self.query)

    def add(self, log: SearchableLog) -> bool:
        """Count a log where it belongs; whether it did. One without a value to group by or to measure does not."""
        if not self._matches(log):
            return False
        at_us, added = log.timestamp_ms * 1_000, False
        for group in self._groups(log):
            for value in self._values(log):
                self.evaluation.add(group, at_us, value, log)
                added = True
        return added

    def evaluate(self, at_us: int) -> list[Change]:
        """What changed. Forwards in time only."""
        return self.evaluation.evaluate(at_us)

    def title(self, change: Change) -> str:
        """The first line of what is sent: what became of whom, and the monitor's name."""
        scope = ",".join(f"{name}:{value}" for name, value in zip(self.query.group_by, change.group, strict=True))
        told = change.notify.transition if change.notify else change.after.value
        name = _render(self.definition.name, self._facts(change))
        return f"[{told}{f' on {{{scope}}}' if scope else ''}] {name}"

    def message(self, change: Change, link: str = "") -> str:
        """What is sent, with the escalation message where somebody is told again. `link` leads to its logs."""
        template = self.definition.message
        if change.notify is Why.RENOTIFY and self.definition.options.escalation_message:
            template = f"{self.definition.options.escalation_message}\n\n{template}"
        return _render(template, self._facts(change, link))

    def _facts(self, change: Change, link: str = "") -> MessageFacts:
        state = self.evaluation.groups.get(change.group)
        triggered_us = state.last_triggered_us if state else None
        return MessageFacts(
            self.definition,
            self.query,
            change,
            log={**(log_facts(change.log) if isinstance(change.log, SearchableLog) else {}), "link": link},
            last_triggered_at=_iso(triggered_us) if triggered_us is not None else "",
        )

    def _groups(self, log: SearchableLog) -> Iterator[Group]:
        named = [list(dict.fromkeys(facet_values(log, name))) for name in self.query.group_by]
        return islice(product(*named), VALUES_MAX)

    def _values(self, log: SearchableLog) -> list[float | str]:
        measure = self.query.measure
        if measure is None:
            return [0.0]
        if self.query.aggregation is Aggregation.CARDINALITY:
            return list(facet_values(log, measure))
        found = values_at(log.attributes, measure.removeprefix("@"))
        return [float(value) for value in found if isinstance(value, int | float) and not isinstance(value, bool)]


def log_facts(log: SearchableLog) -> Mapping[str, Any]:
    """What a message may say of a log, by Datadog's names."""
    tags: dict[str, str] = {}
    for tag in sorted(log.tags):
        key, _, value = tag.partition(":")
        tags[key] = f"{tags[key]},{value}" if key in tags else value
    reserved = {name: getattr(log, name) for name in RESERVED}
    at = _iso(log.timestamp_ms * 1_000)
    return {**reserved, "timestamp": at, "attributes": log.attributes, "tags": tags}


def _render(template: str, facts: MessageFacts) -> str:
    """The text; a template that cannot be rendered goes out as it is, with the reason."""
    try:
        return render_message(template, facts)
    except MessageTemplateError as error:
        return f"{template}\n\n(not rendered: {error})"


def _iso(at_us: int) -> str:
    return (_EPOCH + timedelta(microseconds=at_us)).strftime("%Y-%m-%dT%H:%M:%SZ")
