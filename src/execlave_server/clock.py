"""The only source of time, identifiers and chance, so that a test can hold all three."""

import secrets
import threading
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


SALT_BYTES = 16
SALTS_AT_ONCE = 4_096  # asking the kernel gives the interpreter lock away, which for each request cost too much


class SystemClock:
    """The machine's own."""

    def __init__(self) -> None:
        self._salts: list[bytes] = []
        self._taking_salts = threading.Lock()

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
        with self._taking_salts:
            if len(self._salts) < count:
                joined = secrets.token_bytes(SALT_BYTES * (SALTS_AT_ONCE + count))
                self._salts = [joined[start : start + SALT_BYTES] for start in range(0, len(joined), SALT_BYTES)]
            rest = len(self._salts) - count
            taken = self._salts[rest:]
            del self._salts[rest:]
        return taken

    def fraction(self) -> float:
        """A random number in [0, 1), for jitter."""
        return secrets.randbelow(1_000_000) / 1_000_000
