"""The first start: a link by which whoever sees it becomes the owner."""

from execlave_server.actions.invite_person import open_welcome
from execlave_server.app.database import clock_of
from execlave_server.app.installation import open_services
from execlave_server.errors import ExeclaveServerError
from execlave_server.settings import Settings


async def welcome(settings: Settings, url: str) -> str | None:
    """What to tell at a start while nobody can sign in; the link of the start before dies. `url` is where we listen."""
    try:
        async with open_services(settings, clock_of(settings)) as services:
            token = await open_welcome(services)
    except ExeclaveServerError as error:  # whatever it is, serving comes first, and the server says it too
        return f"No link for a first person could be made: {error.message}"
    if token is None:
        return None
    base = settings.public_url.rstrip("/") or url
    return (
        f"Nobody can sign in yet. Become the owner: {base}/welcome/{token.reveal()}\n"
        "The link works once and for a day; the next start prints another in its place."
    )
