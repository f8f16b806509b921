"""The bounds of a search: ISO 8601, epoch milliseconds, or date math from `now`."""

import re

from execlave_server.datadog.log_dates import read_time_us
from execlave_server.sandbox.refusals import ApiRefusedError

US_PER_UNIT = {
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 7 * 86_400_000_000,
}
NOW = re.compile(r"now((?:[+-]\d{1,9}[smhdw])*)(?:/([smhd]))?")
STEP = re.compile(r"([+-])(\d{1,9})([smhdw])")
INTERVAL = re.compile(r"(\d{1,12})(ms|s|m|h|d|w)?")


def read_bound_ms(text: str | float, now_us: int, name: str) -> int:
    """Epoch milliseconds of a bound. Raises ApiRefusedError, naming the field, for what is none of the three forms."""
    if isinstance(text, str) and (found := NOW.fullmatch(text.strip())):
        moved = now_us
        for sign, number, unit in STEP.findall(found[1]):
            moved += (1 if sign == "+" else -1) * int(number) * US_PER_UNIT[unit]
        if found[2]:
            moved -= moved % US_PER_UNIT[found[2]]
        return moved // 1_000
    time_us = None if isinstance(text, bool) else read_time_us(text)
    if time_us is None:
        raise ApiRefusedError(400, f"Invalid `{name}`: {text!r}; use ISO 8601, epoch milliseconds or now-15m")
    return int(time_us / 1_000)


def read_interval_ms(text: str | int) -> int:
    """Milliseconds of an interval such as 5m; a bare number is milliseconds. Raises ApiRefusedError otherwise."""
    found = INTERVAL.fullmatch(str(text).strip())
    interval_ms = int(found[1]) * US_PER_UNIT[found[2] or "ms"] // 1_000 if found else 0
    if not interval_ms:
        raise ApiRefusedError(400, f"Invalid interval: {text!r}; write a number and its unit, such as 5m")
    return interval_ms
