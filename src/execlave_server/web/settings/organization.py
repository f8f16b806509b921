"""Settings, Organization: its name and id."""

from starlette.responses import Response

from execlave_server.actions.issue_key import rename_organization
from execlave_server.errors import ExeclaveServerError, ValidationFailedError
from execlave_server.model.permissions import Permission
from execlave_server.web.exchange import Access, Page, PageRoute

_PATH = "/settings/organization"


async def show_organization(page: Page) -> Response:
    """What it is called."""
    return _form(page)


async def post_organization(page: Page) -> Response:
    """Call it something else."""
    try:
        await rename_organization(page.services, page.person, page.organization, page.form["name"])
    except ValidationFailedError as error:
        return _form(page, error)
    return page.redirect(_PATH, "The name is saved.")


def _form(page: Page, error: ExeclaveServerError | None = None) -> Response:
    return page.render(
        "settings/organization.html",
        error.status if error else 200,
        tab="organization",
        errors=error.fields if error else {},
        problem=error.message if error else None,
    )


ROUTES = (
    PageRoute("GET", _PATH, Access.SIGNED_IN, show_organization, "settings"),
    PageRoute("POST", _PATH, Permission.ORGANIZATION_EDIT, post_organization, "settings"),
)
