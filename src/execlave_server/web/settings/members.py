"""Settings, Members: who may sign in, as what; links for those who do not yet."""

from starlette.responses import Response

from execlave_server.actions.invite_person import invite_person, list_invitations, withdraw_invitation
from execlave_server.actions.manage_people import (
    change_role,
    disable_person,
    enable_person,
    find_person,
    list_people,
)
from execlave_server.errors import ConflictError, ExeclaveServerError, ValidationFailedError
from execlave_server.model.people import PersonRole
from execlave_server.model.permissions import Permission
from execlave_server.web.exchange import Page, PageRoute

_PATH = "/settings/members"
_ROLES = (
    (PersonRole.OWNER, "Owner: everything"),
    (PersonRole.ADMIN, "Admin: everything but members"),
    (PersonRole.APPROVER, "Approver: decides approvals, pauses agents, reads"),
    (PersonRole.ANALYST, "Analyst: reads, the audit too"),
    (PersonRole.VIEWER, "Viewer: reads"),
)


async def show_members(page: Page) -> Response:
    """Everybody, and who is invited."""
    people = await list_people(page.services, page.organization)
    invitations = await list_invitations(page.services, page.organization)
    return page.render("settings/members.html", tab="members", people=people, invitations=invitations)


async def show_member(page: Page) -> Response:
    """One of them."""
    return await _member(page)


async def show_invite(page: Page) -> Response:
    """The form."""
    return _invite_form(page)


async def post_invite(page: Page) -> Response:
    """A link for somebody. The answer to the form is the only page that ever shows it."""
    try:
        email, role = page.form["email"], page.form.choice("role", PersonRole)
        token = await invite_person(page.services, page.person, page.organization, email, role)
    except (ValidationFailedError, ConflictError) as error:
        return _invite_form(page, error)
    link = f"{page.origin}/invite/{token.reveal()}"
    return page.render("settings/member_invited.html", 201, tab="members", email=email, role=role, link=link)


async def post_withdraw(page: Page) -> Response:
    """The link does nothing from now on."""
    await withdraw_invitation(page.services, page.person, page.organization, page.path("invitation"))
    return page.redirect(_PATH, "The invitation is withdrawn; its link does nothing any more.")


async def post_role(page: Page) -> Response:
    """Another role, from the next request on."""
    person = await find_person(page.services, page.organization, page.path("person"))
    try:
        role = page.form.choice("role", PersonRole)
        await change_role(page.services, person, role, actor=page.person.actor)
    except (ValidationFailedError, ConflictError) as error:
        return await _member(page, error)
    return page.redirect(_PATH, f"{person.email} is {role} now.")


async def post_disable(page: Page) -> Response:
    """Keep somebody out: every session ends at once."""
    person = await find_person(page.services, page.organization, page.path("person"))
    try:
        await disable_person(
            page.services, page.organization, person.email, actor=page.person.actor, keep_an_owner=True
        )
    except ConflictError as error:
        return await _member(page, error)
    return page.redirect(_PATH, f"{person.email} is disabled; every session has ended.")


async def post_enable(page: Page) -> Response:
    """Let somebody in again."""
    person = await find_person(page.services, page.organization, page.path("person"))
    await enable_person(page.services, person, actor=page.person.actor)
    return page.redirect(_PATH, f"{person.email} may sign in again, with the password of before.")


async def _member(page: Page, error: ExeclaveServerError | None = None) -> Response:
    person = await find_person(page.services, page.organization, page.path("person"))
    return page.render(
        "settings/member.html",
        error.status if error else 200,
        tab="members",
        member=person,
        roles=_ROLES,
        errors=error.fields if error else {},
        problem=error.message if error else None,
    )


def _invite_form(page: Page, error: ExeclaveServerError | None = None) -> Response:
    return page.render(
        "settings/member_invite.html",
        error.status if error else 200,
        tab="members",
        roles=_ROLES,
        errors=error.fields if error else {},
        problem=error.message if error else None,
    )


ROUTES = (
    PageRoute("GET", _PATH, Permission.PEOPLE_READ, show_members, "settings"),
    PageRoute("GET", f"{_PATH}/invite", Permission.PEOPLE_EDIT, show_invite, "settings"),
    PageRoute("POST", f"{_PATH}/invite", Permission.PEOPLE_EDIT, post_invite, "settings"),
    PageRoute(
        "POST", f"{_PATH}/invitations/{{invitation}}/withdraw", Permission.PEOPLE_EDIT, post_withdraw, "settings"
    ),
    PageRoute("GET", f"{_PATH}/{{person}}", Permission.PEOPLE_EDIT, show_member, "settings"),
    PageRoute("POST", f"{_PATH}/{{person}}/role", Permission.PEOPLE_EDIT, post_role, "settings"),
    PageRoute("POST", f"{_PATH}/{{person}}/disable", Permission.PEOPLE_EDIT, post_disable, "settings"),
    PageRoute("POST", f"{_PATH}/{{person}}/enable", Permission.PEOPLE_EDIT, post_enable, "settings"),
)
