"""What people may do: the one place that says which role has which permission, and the one check of it."""

from collections.abc import Mapping
from enum import StrEnum

from execlave_server.errors import ForbiddenError
from execlave_server.model.people import Person, PersonRole


class Permission(StrEnum):
    """Something a route or an action asks for."""

    AGENTS_READ = "agents.read"
    AGENTS_CONTROL = "agents.control"
    APPROVALS_READ = "approvals.read"
    APPROVALS_DECIDE = "approvals.decide"
    AUDIT_READ = "audit.read"
    BUDGETS_EDIT = "budgets.edit"
    BUDGETS_READ = "budgets.read"
    DELIVERIES_READ = "deliveries.read"
    DELIVERIES_REQUEUE = "deliveries.requeue"
    DESTINATIONS_EDIT = "destinations.edit"
    DESTINATIONS_READ = "destinations.read"
    INCIDENTS_EDIT = "incidents.edit"
    INCIDENTS_READ = "incidents.read"
    KEYS_EDIT = "keys.edit"
    ORGANIZATION_EDIT = "organization.edit"
    PEOPLE_EDIT = "people.edit"
    PEOPLE_READ = "people.read"
    POLICIES_EDIT = "policies.edit"
    POLICIES_READ = "policies.read"
    TRACES_CONTENT = "traces.content"
    TRACES_READ = "traces.read"


_VIEWER = frozenset({
    Permission.AGENTS_READ, Permission.APPROVALS_READ, Permission.BUDGETS_READ, Permission.DELIVERIES_READ,
    Permission.DESTINATIONS_READ, Permission.INCIDENTS_READ, Permission.POLICIES_READ, Permission.TRACES_READ,
})  # fmt: skip
_ANALYST = _VIEWER | {Permission.AUDIT_READ, Permission.TRACES_CONTENT}
_APPROVER = _ANALYST | {Permission.APPROVALS_DECIDE, Permission.AGENTS_CONTROL, Permission.INCIDENTS_EDIT}
_ADMIN = frozenset(Permission) - {Permission.PEOPLE_EDIT}

ROLES: Mapping[PersonRole, frozenset[Permission]] = {
    PersonRole.OWNER: frozenset(Permission),
    PersonRole.ADMIN: _ADMIN,
    PersonRole.APPROVER: _APPROVER,
    PersonRole.ANALYST: _ANALYST,
    PersonRole.VIEWER: _VIEWER,
}


def require(person: Person, permission: Permission) -> None:
    """Raise ForbiddenError unless the person's role has the permission."""
    if permission not in ROLES[person.role]:
        raise ForbiddenError(
            f"This needs the permission {permission}, which the role {person.role} does not have. Ask an owner."
        )
