from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from execlave_server.model.organizations import ApiKey


class PersonRole(StrEnum):
    """What a person is here; see `permissions.ROLES` for what that allows."""

    OWNER = "owner"
    ADMIN = "admin"
    APPROVER = "approver"
    ANALYST = "analyst"
    VIEWER = "viewer"


class Person(Struct, frozen=True):
    """Somebody who signs in with a password. `email` is in lower case, and known once in an organization."""

    id: str
    organization: int
    organization_id: str
    email: str
    name: str
    role: PersonRole
    created_at_us: int
    disabled_at_us: int | None

    @property
    def actor(self) -> str:
        """How the audit chain names the person."""
        return f"person:{self.id}"


Caller: TypeAlias = ApiKey | Person
"""Who sent a request: both say their `organization`, `organization_id` and `actor`."""
