from enum import StrEnum

from msgspec import Struct


class Role(StrEnum):
    """What an API key may do: `agent` only the SDK contract, `admin` everything."""

    AGENT = "agent"
    ADMIN = "admin"


class KeyEnvironment(StrEnum):
    """The environment an API key is issued for; it stands in the key itself."""

    PRODUCTION = "prod"
    STAGING = "stg"
    DEVELOPMENT = "dev"

    @property
    def agent_environment(self) -> str:
        """The SDK's word for the same environment."""
        return self.name.lower()


class Organization(Struct, frozen=True):
    """A tenant. `number` is the store's own short name for it; `version` grows with every change it governs by."""

    number: int
    id: str
    name: str
    version: int
    created_at_us: int


class ApiKey(Struct, frozen=True):
    """An issued API key, without the key: the store keeps a keyed hash only. `hint` is its last four characters."""

    id: str
    organization: int
    organization_id: str
    name: str
    environment: KeyEnvironment
    role: Role
    hint: str
    created_at_us: int
    revoked_at_us: int | None
    organization_version: int
    last_used_at_us: int | None = None  # to about a minute

    @property
    def actor(self) -> str:
        """How the audit chain names the key."""
        return f"key:{self.id}"
