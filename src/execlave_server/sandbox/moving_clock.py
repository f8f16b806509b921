from execlave_server.clock import Clock


class MovingClock(Clock):
    """Another clock, set forward by as much as was asked for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.ahead_us = 0

    def move(self, forward_us: int) -> None:
        """Set it forward."""
        self.ahead_us += forward_us

    def now_us(self) -> int:
        """Microseconds since the Unix epoch, UTC."""
        return self._clock.now_us() + self.ahead_us

    def elapsed_us(self) -> int:
        """As the clock below; moving it is no passing of time."""
        return self._clock.elapsed_us()

    def uuid(self) -> str:
        """As the clock below."""
        return self._clock.uuid()

    def token(self) -> str:
        """As the clock below."""
        return self._clock.token()

    def salts(self, count: int) -> list[bytes]:
        """As the clock below."""
        return self._clock.salts(count)

    def fraction(self) -> float:
        """As the clock below."""
        return self._clock.fraction()
