"""Settings, Profile: one's own name and password."""

from starlette.responses import Response

from execlave_server.actions.manage_people import PASSWORD_CHARS_MIN, change_password, check_password, rename_person
from execlave_server.actions.sign_in import Credentials, prove_person, sign_in
from execlave_server.errors import ExeclaveServerError, SignInFailedError, TooManySignInsError, ValidationFailedError
from execlave_server.model.secret import Secret
from execlave_server.web.cookies import begin_session
from execlave_server.web.exchange import Access, Page, PageRoute
from execlave_server.web.new_password import typed_twice

_PATH = "/settings/profile"


async def show_profile(page: Page) -> Response:
    """Who one is here."""
    return _form(page)


async def post_name(page: Page) -> Response:
    """Call oneself something else."""
    try:
        await rename_person(page.services, page.person, page.form["name"])
    except ValidationFailedError as error:
        return _form(page, error)
    return page.redirect(_PATH, "Your name is saved.")


async def post_password(page: Page) -> Response:
    """A new password, for whoever knows the present one. Every other session ends, and this one is begun anew."""
    person = page.person
    try:
        password = typed_twice(page.form)
        check_password(password, person.email, person.name)
        await prove_person(page.services, _credentials(page, Secret(page.form.raw("present"))))
        await change_password(page.services, page.organization, person.email, password, actor=person.actor)
    except SignInFailedError:
        wrong = ValidationFailedError(
            "The present password is not right, so nothing was changed.", fields={"present": "is not your password"}
        )
        return _form(page, wrong)
    except (ValidationFailedError, TooManySignInsError) as error:
        return _form(page, error)
    session = await sign_in(page.services, _credentials(page, password))
    response = page.bound_to_session(session.token).redirect(
        _PATH, "Your password is changed, and you are signed out everywhere else."
    )
    begin_session(response, session.token.reveal())
    return response


def _credentials(page: Page, password: Secret) -> Credentials:
    return Credentials(
        email=page.person.email,
        password=password,
        organization_id=page.person.organization_id,
        address=page.address,
        browser=page.browser,
    )


def _form(page: Page, error: ExeclaveServerError | None = None) -> Response:
    return page.render(
        "settings/profile.html",
        error.status if error else 200,
        tab="profile",
        password_chars_min=PASSWORD_CHARS_MIN,
        errors=error.fields if error else {},
        problem=error.message if error else None,
    )


ROUTES = (
    PageRoute("GET", _PATH, Access.SIGNED_IN, show_profile, "settings"),
    PageRoute("POST", f"{_PATH}/name", Access.SIGNED_IN, post_name, "settings"),
    PageRoute("POST", f"{_PATH}/password", Access.SIGNED_IN, post_password, "settings"),
)
