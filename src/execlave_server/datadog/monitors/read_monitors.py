"""Monitors out of a file: a body as Datadog's API takes or gives it, a list of them, or a query alone."""

from typing import Any

import msgspec
from msgspec import Struct

from execlave_server.datadog.monitors.monitor_definition import (
    LOG_ALERT,
    MonitorDefinition,
    MonitorOptions,
    Thresholds,
)
from execlave_server.datadog.monitors.parse_monitor_query import parse_monitor_query
from execlave_server.errors import ValidationFailedError

MONITORS_MAX = 100  # in one file


class _Given(Struct):
    query: str
    name: str = ""
    type: str = LOG_ALERT
    message: str = ""
    tags: tuple[str, ...] = ()
    priority: int | None = None
    options: dict[str, Any] = {}


def read_monitors(text: bytes) -> list[MonitorDefinition]:
    """The monitors of a JSON file. Raises ValidationFailedError for what is none; fields of no concern are ignored."""
    try:
        given = msgspec.json.decode(text)
        items = msgspec.convert(given if isinstance(given, list) else [given], list[_Given])
    except msgspec.MsgspecError as error:
        raise ValidationFailedError(
            f"This is no monitor: {error}. Give its JSON as Datadog shows it, or at least an object with `query`."
        ) from error
    if not 1 <= len(items) <= MONITORS_MAX:
        raise ValidationFailedError(f"The file has {len(items)} monitors; from 1 to {MONITORS_MAX} can be read.")
    return [_definition(each, place) for place, each in enumerate(items, 1)]


def _definition(given: _Given, place: int) -> MonitorDefinition:
    options = dict(given.options)
    options["thresholds"] = options.get("thresholds") or {"critical": parse_monitor_query(given.query).threshold}
    try:
        read = msgspec.convert(options, MonitorOptions)
    except msgspec.MsgspecError as error:
        raise ValidationFailedError(f"The options of monitor {place} cannot be read: {error}.") from error
    name = given.name or f"monitor {place}"
    return MonitorDefinition(name, given.type, given.query, given.message, read, given.tags, given.priority)


def simple_monitor(query: str) -> MonitorDefinition:
    """A monitor of a query alone."""
    options = MonitorOptions(Thresholds(parse_monitor_query(query).threshold))
    return MonitorDefinition("monitor", LOG_ALERT, query, "", options)
