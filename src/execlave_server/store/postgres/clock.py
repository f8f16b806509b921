"""The database's clock, which all servers and workers of one database share."""

from execlave_server.clock import Clock

LOOK_AGAIN_US = 10_000_000  # two machines' quartz differ by less than a millisecond in ten seconds


class DatabaseClock:
    """Implements `clock.Clock`: the time is the database's, carried on by this machine's clock that never goes back.

    So leases, receive times and retention agree between machines whose own clocks are off, or jump, and statements
    take the time as a parameter on every engine. Before the first look it is this machine's time.
    """

    def __init__(self, local: Clock) -> None:
        self._local = local
        self._ahead_us = local.now_us() - local.elapsed_us()
        self._looked_at_us: int | None = None

    @property
    def should_look(self) -> bool:
        """Whether it is time to look at the database's clock again."""
        return self._looked_at_us is None or self._local.elapsed_us() - self._looked_at_us > LOOK_AGAIN_US

    def saw(self, database_us: int, asked_at_us: int) -> None:
        """The database said what time it is; `asked_at_us` is `elapsed_us` before it was asked."""
        self._looked_at_us = self._local.elapsed_us()
        self._ahead_us = database_us - (asked_at_us + self._looked_at_us) // 2

    def now_us(self) -> int:
        """Microseconds since the Unix epoch, UTC."""
        return self._local.elapsed_us() + self._ahead_us

    def elapsed_us(self) -> int:
        """Microseconds on a clock that never goes back."""
        return self._local.elapsed_us()

    def uuid(self) -> str:
        """A new random UUID, in its dashed form."""
        return self._local.uuid()

    def token(self) -> str:
        """256 random bits as 43 URL-safe characters."""
        return self._local.token()

    def salts(self, count: int) -> list[bytes]:
        """So many times 16 random bytes."""
        return self._local.salts(count)

    def fraction(self) -> float:
        """A random number in [0, 1), for jitter."""
        return self._local.fraction()
