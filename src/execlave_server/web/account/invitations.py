"""The links by which somebody comes in: `/welcome/<token>` for the first owner, `/invite/<token>` for others."""

from starlette.responses import Response

from execlave_server.actions.invite_person import Invitation, accept_invitation, find_invitation
from execlave_server.actions.manage_people import PASSWORD_CHARS_MIN
from execlave_server.actions.sign_in import Credentials, sign_in, sign_out
from execlave_server.errors import ConflictError, ValidationFailedError
from execlave_server.web.cookies import begin_session
from execlave_server.web.exchange import Access, Page, PageRoute
from execlave_server.web.new_password import typed_twice
from execlave_server.web.next_path import HOME


async def show_invitation(page: Page) -> Response:
    """The form that makes the person."""
    return _form(page, await find_invitation(page.services, page.path("token")))


async def post_invitation(page: Page) -> Response:
    """Make the person, and sign him in in place of whoever was."""
    invitation = await find_invitation(page.services, page.path("token"))
    try:
        password = typed_twice(page.form)
        person = await accept_invitation(
            page.services, page.path("token"), email=page.form["email"], name=page.form["name"], password=password
        )
    except (ValidationFailedError, ConflictError) as error:
        return _form(page, invitation, error)
    credentials = Credentials(
        email=person.email,
        password=password,
        organization_id=person.organization_id,
        address=page.address,
        browser=page.browser,
    )
    session = await sign_in(page.services, credentials)
    if page.open_session is not None:
        await sign_out(page.services, page.bound_to.reveal())
    response = page.redirect(HOME)
    begin_session(response, session.token.reveal())
    return response


def _form(page: Page, invitation: Invitation, error: ValidationFailedError | ConflictError | None = None) -> Response:
    return page.render(
        "account/invitation.html",
        error.status if error else 200,
        invitation=invitation,
        password_chars_min=PASSWORD_CHARS_MIN,
        errors=error.fields if error else {},
        problem=error.message if error else None,
    )


ROUTES = tuple(
    PageRoute(method, f"/{kind}/{{token}}", Access.PUBLIC, handler)
    for kind in ("welcome", "invite")
    for method, handler in (("GET", show_invitation), ("POST", post_invitation))
)
