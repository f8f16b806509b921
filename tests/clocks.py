"""A clock that a test holds."""

import uuid
from itertools import count

START_US = 1_765_449_600_000_000  # 2025-12-11 10:40:00 UTC, the time in the specification's example


class SettableClock:
    """Implements `execlave_server.clock.Clock`: time stands until it is moved, ids and chance are foreseeable."""

    def __init__(self, now_us: int = START_US) -> None:
        self.time_us = now_us
        self.chance = 0.0
        self._numbers = count(1)

    def advance(self, *, us: int = 0, seconds: float = 0) -> None:
        """Let time pass."""
        self.time_us += us + round(seconds * 1_000_000)

    def now_us(self) -> int:
        """The time it was set to."""
        return self.time_us

    def elapsed_us(self) -> int:
        """Moves with the time."""
        return self.time_us - START_US

    def uuid(self) -> str:
        """The next number as a UUID."""
        return str(uuid.UUID(int=next(self._numbers)))

    def token(self) -> str:
        """The next number as 43 digits."""
        return f"{next(self._numbers):043}"

    def salts(self, count: int) -> list[bytes]:
        """The next numbers as 16 bytes each."""
        return [next(self._numbers).to_bytes(16, "big") for _ in range(count)]

    def fraction(self) -> float:
        """The chance it was set to."""
        return self.chance
