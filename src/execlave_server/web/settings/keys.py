"""Settings, API keys: issued, shown once, and revoked."""

from collections.abc import Sequence

from starlette.responses import Response

from execlave_server.actions.issue_key import issue_key, list_keys, revoke_key
from execlave_server.errors import ExeclaveServerError, ValidationFailedError
from execlave_server.model.organizations import ApiKey, KeyEnvironment, Role
from execlave_server.model.permissions import Permission
from execlave_server.web.exchange import Page, PageRoute

_PATH = "/settings/keys"
_ROLES = (
    (Role.AGENT, "Agent: registers, asks and sends traces, as the SDK does"),
    (Role.ADMIN, "Admin: everything but deciding approvals"),
)
_ENVIRONMENTS = tuple((each, each.name.capitalize()) for each in KeyEnvironment)


async def show_keys(page: Page) -> Response:
    """Every key of the organization, the live ones first."""
    keys = await list_keys(page.services, page.organization)
    live, revoked = _split(keys)
    return page.render("settings/keys.html", tab="keys", live=live, revoked=revoked)


async def show_new(page: Page) -> Response:
    """The form."""
    return _form(page)


async def post_new(page: Page) -> Response:
    """Issue a key. The answer to the form is the only page that ever shows it."""
    try:
        role = page.form.choice("role", Role)
        environment = page.form.choice("environment", KeyEnvironment)
        key_id, key = await issue_key(
            page.services,
            page.organization,
            name=page.form["name"],
            environment=environment,
            role=role,
            actor=page.person.actor,
        )
    except ValidationFailedError as error:
        return _form(page, error)
    return page.render(
        "settings/key_made.html", 201, tab="keys", key_id=key_id, key=key.reveal(), role=role, environment=environment
    )


async def post_revoke(page: Page) -> Response:
    """From now on nothing is decided or stored under the key."""
    await revoke_key(page.services, page.organization, page.path("key"), actor=page.person.actor)
    return page.redirect(_PATH, "The key is revoked. Nothing is decided or stored under it any more.")


def _split(keys: Sequence[ApiKey]) -> tuple[list[ApiKey], list[ApiKey]]:
    newest_first = sorted(keys, key=lambda key: key.created_at_us, reverse=True)
    live = [key for key in newest_first if key.revoked_at_us is None]
    return live, [key for key in newest_first if key.revoked_at_us is not None]


def _form(page: Page, error: ExeclaveServerError | None = None) -> Response:
    return page.render(
        "settings/key_new.html",
        error.status if error else 200,
        tab="keys",
        roles=_ROLES,
        environments=_ENVIRONMENTS,
        errors=error.fields if error else {},
        problem=error.message if error else None,
    )


ROUTES = (
    PageRoute("GET", _PATH, Permission.KEYS_EDIT, show_keys, "settings"),
    PageRoute("GET", f"{_PATH}/new", Permission.KEYS_EDIT, show_new, "settings"),
    PageRoute("POST", f"{_PATH}/new", Permission.KEYS_EDIT, post_new, "settings"),
    PageRoute("POST", f"{_PATH}/{{key}}/revoke", Permission.KEYS_EDIT, post_revoke, "settings"),
)
