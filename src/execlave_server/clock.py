"""The only source of time, identifiers and chance, so that a test can hold all three."""

import secrets
import time
import uuid
from typing import Protocol


class Clock(Protocol):
    """What code that needs the time, an identifier or chance asks for."""

    def now_us(self) -> int:
        """Microseconds since the Unix epoch, UTC."""

    def elapsed_us(self) -> int:
        """Microseconds on a clock that never goes back; only differences mean something."""

    def uuid(self) -> str:
        """A new random UUID, in its dashed form."""

    def token(self) -> str:
        """256 random bits as 43 URL-safe characters."""

    def salts(self, count: int) -> list[bytes]:
        """So many times 16 random bytes."""

    def fraction(self) -> float:
        """A random number in [0, 1), for jitter."""


class SystemClock:
    """The machine's own."""

    def now_us(self) -> int:
        """Microseconds since the Unix epoch, UTC."""
        return time.time_ns() // 1_000

    def elapsed_us(self) -> int:
        """Microseconds on a clock that never goes back."""
        return time.monotonic_ns() // 1_000

    def uuid(self) -> str:
        """A new random UUID, in its dashed form."""
        return str(uuid.uuid4())

    def token(self) -> str:
        """256 random bits as 43 URL-safe characters."""
        return secrets.token_urlsafe(32)

    def salts(self, count: int) -> list[bytes]:
        """So many times 16 random bytes."""
        joined = secrets.token_bytes(16 * count)
        return [joined[start : start + 16] for start in range(0, len(joined), 16)]

    def fraction(self) -> float:
        """A random number in [0, 1), for jitter."""
        return secrets.randbelow(1_000_000) / 1_000_000
