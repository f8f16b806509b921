from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from execlave_server.model.policy_rules import AccessControlRule, Day, Hours
from execlave_server.policy.action import Action, Facts
from execlave_server.policy.breaches import BadRuleError, Breach, Check
from execlave_server.policy.wildcards import NamePatterns

MINUTES_PER_HOUR = 60
US_PER_MINUTE = 60_000_000
MINUTES_KEPT = 4  # every decision of a minute has the same answer


def access_control(rule: AccessControlRule) -> Check:
    """Which tools may be used, in which environments, at which hours."""
    allowed = None if rule.allowed_tools is None else NamePatterns(rule.allowed_tools)
    denied = NamePatterns(rule.denied_tools)
    environments = None if rule.environments is None else frozenset(rule.environments)
    is_open = None if rule.hours is None else opening(rule.hours)

    def check(action: Action, facts: Facts) -> Breach | None:
        for tool in action.tools:
            if tool in denied:
                return _denied(denied.matching(tool))
            if allowed is not None and tool not in allowed:
                return _NOT_ALLOWED
        if environments is not None and action.environment not in environments:
            return _ENVIRONMENT
        if is_open is not None and not is_open(facts.now_us):
            return _HOURS
        return None

    return check


def opening(hours: Hours) -> Callable[[int], bool]:
    """Whether a moment lies within the hours. Raises BadRuleError for an unknown time zone."""
    try:
        zone = ZoneInfo(hours.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadRuleError(
            "hours.time_zone", f"is {hours.time_zone!r}, which is no time zone known here; write it like Europe/Berlin"
        ) from error
    start, end = _minute_of(hours.start), _minute_of(hours.end)
    days = frozenset(place for place, day in enumerate(Day) if day in hours.days)

    @lru_cache(MINUTES_KEPT)
    def is_open(minutes: int) -> bool:
        now = (_EPOCH + timedelta(minutes=minutes)).astimezone(zone)
        minute, day = now.hour * MINUTES_PER_HOUR + now.minute, now.weekday()
        if start < end:
            return start <= minute < end and day in days
        return (minute >= start and day in days) or (minute < end and (day - 1) % len(Day) in days)

    return lambda now_us: is_open(now_us // US_PER_MINUTE)


def _minute_of(time: str) -> int:
    hour, _, minute = time.partition(":")
    return int(hour) * MINUTES_PER_HOUR + int(minute)


def _denied(pattern: str | None) -> Breach:
    return Breach(
        "access_control.denied_tool",
        f"A tool of this action is denied by {pattern}",
        "Use another tool, or ask for this one to be taken from denied_tools.",
    )


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_ALLOWED = Breach(
    "access_control.tool_not_allowed",
    "A tool of this action is not among the allowed tools",
    "Use an allowed tool, or ask for this one to be added to allowed_tools.",
)
_ENVIRONMENT = Breach(
    "access_control.environment",
    "The action is not allowed in this environment",
    "Run it in one of the environments that the policy allows.",
)
_HOURS = Breach(
    "access_control.hours",
    "The action is not allowed at this hour",
    "Try again within the hours that the policy allows.",
    "medium",
    retryable=True,
)
