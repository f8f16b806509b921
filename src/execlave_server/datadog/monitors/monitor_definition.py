"""A log monitor as Datadog's API takes it, and what Datadog refuses in one."""

import re
from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from execlave_server.datadog.monitors.monitor_query import MINUTE_US, MonitorQuery
from execlave_server.errors import ValidationFailedError

RETENTION_DEFAULT_US = 24 * 60 * MINUTE_US  # how long a group without logs stays; Datadog's default for logs [inferred]
RETENTION_HOURS_MAX = 72
LOG_ALERT = "log alert"

_RETENTION = re.compile(r"(\d{1,4})([mhd])")
_UNIT_US = {"m": MINUTE_US, "h": 60 * MINUTE_US, "d": 24 * 60 * MINUTE_US}
_Count = Annotated[int, Meta(ge=0)]


class Status(StrEnum):
    """The state of a monitor's group, in Datadog's spelling."""

    OK = "OK"
    WARN = "Warn"
    ALERT = "Alert"
    NO_DATA = "No Data"


class OnMissingData(StrEnum):
    """What becomes of a group in whose window no log lies."""

    DEFAULT = "default"
    SHOW_NO_DATA = "show_no_data"
    SHOW_AND_NOTIFY_NO_DATA = "show_and_notify_no_data"
    RESOLVE = "resolve"


class Thresholds(Struct, frozen=True, omit_defaults=True):
    """`critical` is the query's own threshold; a recovery threshold must be passed back before a state ends."""

    critical: float
    warning: float | None = None
    critical_recovery: float | None = None
    warning_recovery: float | None = None


class MonitorOptions(Struct, frozen=True, omit_defaults=True):
    """The options that bear on when a log monitor fires and whom it tells; others are left to Datadog.

    `new_group_delay` and `evaluation_delay` are seconds, `renotify_interval` and `no_data_timeframe` minutes.
    """

    thresholds: Thresholds
    on_missing_data: OnMissingData | UnsetType = UNSET
    notify_no_data: bool = False
    no_data_timeframe: _Count | None = None
    group_retention_duration: str | None = None
    new_group_delay: _Count | None = None
    evaluation_delay: _Count | None = None
    renotify_interval: _Count | None = None
    renotify_occurrences: _Count | None = None
    renotify_statuses: tuple[str, ...] | None = None
    escalation_message: str | None = None
    enable_logs_sample: bool | None = None
    include_tags: bool | None = None
    notify_audit: bool | None = None
    notify_by: tuple[str, ...] | None = None

    @property
    def missing(self) -> OnMissingData:
        """What holds for missing data, the older pair of options translated."""
        if self.on_missing_data is not UNSET:
            return self.on_missing_data
        return OnMissingData.SHOW_AND_NOTIFY_NO_DATA if self.notify_no_data else OnMissingData.DEFAULT

    @property
    def retention_us(self) -> int:
        """How long a group is kept after its last log."""
        found = _RETENTION.fullmatch(self.group_retention_duration or "")
        return int(found[1]) * _UNIT_US[found[2]] if found else RETENTION_DEFAULT_US


class MonitorDefinition(Struct, frozen=True, omit_defaults=True):
    """The body of `POST /api/v1/monitor`."""

    name: str
    type: str
    query: str
    message: str
    options: MonitorOptions
    tags: tuple[str, ...] = ()
    priority: Annotated[int, Meta(ge=1, le=5)] | None = None


def require_valid(definition: MonitorDefinition, query: MonitorQuery) -> None:
    """Raises ValidationFailedError for what Datadog refuses: thresholds that contradict the query or each other."""
    if definition.type != LOG_ALERT:
        _refuse("type", f"the type must be {LOG_ALERT!r}, not {definition.type!r}")
    options = definition.options
    thresholds = options.thresholds
    if thresholds.critical != query.threshold:
        _refuse(
            "options.thresholds.critical",
            f"Alert threshold ({thresholds.critical}) does not match that used in the query ({query.threshold}).",
        )
    _require_order(thresholds, query)
    if options.on_missing_data is not UNSET and (options.notify_no_data or options.no_data_timeframe is not None):
        _refuse("options.on_missing_data", "on_missing_data excludes notify_no_data and no_data_timeframe")
    if options.group_retention_duration is not None:
        found = _RETENTION.fullmatch(options.group_retention_duration)
        if not found or not 60 * MINUTE_US <= options.retention_us <= RETENTION_HOURS_MAX * 60 * MINUTE_US:
            _refuse("options.group_retention_duration", "group_retention_duration must be from 1h to 72h")
    unknown = set(options.notify_by or ()) - {"*", *query.group_by}
    if unknown:
        _refuse("options.notify_by", f"notify_by names {', '.join(sorted(unknown))}, which the query does not group by")


def _require_order(thresholds: Thresholds, query: MonitorQuery) -> None:
    """A warning comes before the alert, a recovery lies on the good side of what it recovers from."""
    upwards = query.comparator.upwards
    if upwards is None:
        return
    sign = 1 if upwards else -1
    pairs = (
        ("warning", thresholds.warning, "critical", thresholds.critical),
        ("critical_recovery", thresholds.critical_recovery, "critical", thresholds.critical),
        ("warning_recovery", thresholds.warning_recovery, "warning", thresholds.warning),
    )
    for name, milder, other, graver in pairs:
        if milder is None:
            continue
        if graver is None:
            _refuse(f"options.thresholds.{name}", f"{name} needs a {other} threshold")
        elif sign * milder >= sign * graver:
            side = "below" if upwards else "above"
            _refuse(f"options.thresholds.{name}", f"{name} ({milder}) must be {side} {other} ({graver})")


def _refuse(field: str, message: str) -> None:
    raise ValidationFailedError(message, fields={field: message})
