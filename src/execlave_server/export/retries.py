"""When a refused or unanswered request may be sent again. Pure."""

from collections.abc import Mapping

BACKOFF_FIRST_US = 1_000_000
BACKOFF_MAX_US = 120_000_000  # as the official Agent's
WAIT_US_MAX = BACKOFF_MAX_US  # nothing waits longer, and no lease lasts as long
DIGITS_MAX = 18  # a longer number means "very long" as well
EPOCH_SECONDS_FROM = 1_000_000_000  # a wait of thirty years is an epoch time


def backoff_us(attempts: int, fraction: float) -> int:
    """The wait after that many failed attempts: 1 s doubling to 120 s, spread over its upper half by `fraction`."""
    longest = min(BACKOFF_MAX_US, BACKOFF_FIRST_US << min(attempts, 10))
    return longest // 2 + int(longest // 2 * fraction)


def told_wait_us(headers: Mapping[str, str], now_us: int) -> int:
    """The wait that Datadog asks for, in `Retry-After` or `X-RateLimit-Reset`; 0 when it asks for none.

    Both may be seconds to wait; the second may be an epoch time. Clamped to the longest backoff.
    """
    for name in ("Retry-After", "X-RateLimit-Reset"):
        text = headers.get(name, "").strip()
        if text.isascii() and text.isdigit():
            seconds = int(text[:DIGITS_MAX])
            wait_us = seconds * 1_000_000 - now_us if seconds > EPOCH_SECONDS_FROM else seconds * 1_000_000
            return min(max(wait_us, 0), BACKOFF_MAX_US)
    return 0
