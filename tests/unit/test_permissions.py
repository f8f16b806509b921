"""Which role may what, as the reference says it."""

from pathlib import Path

import pytest

from execlave_server.api.routes import ROUTES
from execlave_server.errors import ForbiddenError
from execlave_server.model.people import Person, PersonRole
from execlave_server.model.permissions import ROLES, Permission, require

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "permissions.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("|")]


def someone(role: PersonRole) -> Person:
    """A person of this role."""
    return Person("usr_1", 1, "org_1", "ada@example.com", "Ada", role, 1, None)


def test_the_page_says_who_may_what():
    """The table has each permission and each role once, and says of each pair what the code says."""
    header, _, *rows = ROWS
    said = {
        (row[0].strip("`"), role): cell == "yes" for row in rows for role, cell in zip(header[2:], row[2:], strict=True)
    }

    assert said == {(permission, role): permission in ROLES[role] for permission in Permission for role in PersonRole}


@pytest.mark.parametrize("role", list(PersonRole))
@pytest.mark.parametrize("permission", list(Permission))
def test_the_check_goes_by_the_role(role, permission):
    """A person passes exactly where the role has the permission; else the answer names both."""
    if permission in ROLES[role]:
        require(someone(role), permission)
        return
    with pytest.raises(ForbiddenError, match=f"{permission}.*{role}"):
        require(someone(role), permission)


def test_nobody_is_without_reading_but_few_decide():
    """A viewer changes nothing, and approvals are decided by owners, admins and approvers."""
    assert all(permission.endswith(".read") for permission in ROLES[PersonRole.VIEWER])
    deciders = {role for role in PersonRole if Permission.APPROVALS_DECIDE in ROLES[role]}
    assert deciders == {PersonRole.OWNER, PersonRole.ADMIN, PersonRole.APPROVER}


def test_routes_that_change_something_need_more_than_reading():
    """No route that a viewer may call changes anything."""
    for route in ROUTES:
        if route.permission in ROLES[PersonRole.VIEWER]:
            assert route.method == "GET", route.path
