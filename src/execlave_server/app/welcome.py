"""The first start: a link by which whoever sees it becomes the owner."""

from execlave_server.app.database import StoreRole, clock_of, open_store
from execlave_server.errors import ExeclaveServerError
from execlave_server.settings import Settings


async def welcome(settings: Settings, url: str) -> str | None:
    """What to tell at a start while nobody can sign in; the link of the start before dies. `url` is where we listen."""
    try:
        if not await _is_empty(settings):
            return None
        # Imported at a first start only: it is most of the server, and this process starts before everything else.
        from execlave_server.actions.invite_person import open_welcome  # noqa: PLC0415
        from execlave_server.app.installation import open_services  # noqa: PLC0415

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


async def _is_empty(settings: Settings) -> bool:
    """Whether there is an organization without anybody."""
    store = await open_store(settings, clock_of(settings), StoreRole.COMMAND)
    try:
        return bool(await store.rows("first_without_people"))
    finally:
        await store.close()
