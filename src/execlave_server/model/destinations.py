from enum import StrEnum

from msgspec import Struct


class DestinationState(StrEnum):
    """Enabled and held destinations collect outbox rows; draft and disabled ones do not."""

    DRAFT = "draft"
    ENABLED = "enabled"
    HELD = "held"
    DISABLED = "disabled"

    @property
    def collects(self) -> bool:
        """True when each new batch is queued for a destination in this state."""
        return self in {DestinationState.ENABLED, DestinationState.HELD}


class Connection(Struct, frozen=True):
    """Where a destination sends and with which key; what Test connection tests as a whole."""

    site: str
    sealed_key: bytes
    key_hint: str


class Destination(Struct, frozen=True):
    """A Datadog Logs target of an organization.

    `tested_at_us` is when its present connection last passed; a candidate is a new connection that must pass before
    it takes over from the present one.
    """

    id: str
    number: int
    organization: int
    organization_id: str
    name: str
    state: DestinationState
    state_reason: str | None
    site: str
    sealed_key: bytes
    key_hint: str
    service: str
    ddtags: str
    heartbeat: bool
    events: bool
    tested_at_us: int | None
    candidate_site: str | None
    candidate_sealed_key: bytes | None
    candidate_key_hint: str | None
    created_at_us: int
    updated_at_us: int
    disabled_at_us: int | None
    enabled_at_us: int | None

    @property
    def gap(self) -> tuple[int, int | None] | None:
        """[from, to) of the time it was disabled and nobody has filled yet; without an end while it is disabled."""
        return None if self.disabled_at_us is None else (self.disabled_at_us, self.enabled_at_us)

    @property
    def connection(self) -> Connection:
        """The connection that delivers now."""
        return Connection(self.site, self.sealed_key, self.key_hint)

    @property
    def candidate(self) -> Connection | None:
        """The connection that waits for its test."""
        if self.candidate_site is None or self.candidate_sealed_key is None:
            return None
        return Connection(self.candidate_site, self.candidate_sealed_key, self.candidate_key_hint or "")
