"""The sessions of a person: whose one is, where else he is signed in, and ending them."""

from contextlib import suppress

from msgspec import Struct

from execlave_server.actions.services import Services
from execlave_server.errors import NotFoundError, SessionEndedError, UnavailableError
from execlave_server.model.organizations import Organization
from execlave_server.model.people import Person, PersonRole
from execlave_server.store.protocol import Call, Parameters, StaleError, Write, find_one

SEEN_EVERY_US = 60_000_000  # "last seen" is that precise, so that reading a page is seldom a write


class OpenSession(Struct, frozen=True):
    """A session that is alive, whose it is, and where he belongs."""

    hash: bytes
    person: Person
    organization_id: str
    organization_name: str
    began_at_us: int
    expires_at_us: int


class SessionPlace(Struct, frozen=True):
    """One of a person's live sessions, as he recognises it."""

    hash: bytes
    began_at_us: int
    expires_at_us: int
    last_seen_at_us: int | None
    address: str | None
    browser: str | None

    @property
    def id(self) -> str:
        """What names the session; it cannot be turned back into the token."""
        return self.hash.hex()


class _SessionRow(Struct, frozen=True):
    hash: bytes
    began_at_us: int
    expires_at_us: int
    last_seen_at_us: int | None
    id: str
    organization: int
    organization_id: str
    organization_name: str
    email: str
    name: str
    role: PersonRole
    created_at_us: int
    disabled_at_us: int | None


async def open_session(services: Services, token: str) -> OpenSession:
    """The session behind a token, noted as seen. Raises SessionEndedError."""
    now_us = services.clock.now_us()
    wanted: Parameters = {"hash": services.keys.hash(token), "now_us": now_us}
    row = await find_one(services.store, _SessionRow, "open_session", wanted)
    if row is None:
        raise SessionEndedError("This session has ended. Sign in again.")
    if row.last_seen_at_us is not None and now_us - row.last_seen_at_us >= SEEN_EVERY_US:
        with suppress(UnavailableError):  # a full disk keeps nobody from looking
            await services.store.commit(Write(calls=[Call("session_seen", wanted)]))
    person = Person(
        id=row.id,
        organization=row.organization,
        organization_id=row.organization_id,
        email=row.email,
        name=row.name,
        role=row.role,
        created_at_us=row.created_at_us,
        disabled_at_us=row.disabled_at_us,
    )
    return OpenSession(row.hash, person, row.organization_id, row.organization_name, row.began_at_us, row.expires_at_us)


def organization_of(session: OpenSession) -> Organization:
    """The organization as actions take it; its version and age are nobody's business here."""
    person = session.person
    return Organization(person.organization, session.organization_id, session.organization_name, 0, 0)


async def list_sessions(services: Services, person: Person) -> list[SessionPlace]:
    """Where somebody is signed in now, the newest first."""
    wanted: Parameters = {"person": person.id, "now_us": services.clock.now_us()}
    return await services.store.find(SessionPlace, "sessions_of", wanted)


async def end_session(services: Services, person: Person, session_id: str) -> None:
    """End one of somebody's own sessions, at once and everywhere. Raises NotFoundError."""
    try:
        hashed = bytes.fromhex(session_id)
        ended: Parameters = {"person": person.id, "hash": hashed, "now_us": services.clock.now_us()}
        await services.store.commit(Write(charges=[Call("revoke_session_of", ended)]))
    except (ValueError, StaleError) as error:
        raise NotFoundError("You have no such session, or it has ended already.") from error


async def end_other_sessions(services: Services, session: OpenSession) -> None:
    """End every session of the person but this one."""
    others: Parameters = {"person": session.person.id, "hash": session.hash, "now_us": services.clock.now_us()}
    await services.store.commit(Write(calls=[Call("revoke_other_sessions", others)]))
