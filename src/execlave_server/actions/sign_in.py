"""How people come in: email and password once, then a session token. One answer for whatever was wrong."""

import asyncio
import re
import unicodedata
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import asdict

from execlave_server.actions.services import Services
from execlave_server.audit.chain import Event
from execlave_server.audit.events import Kind, SignIn
from execlave_server.errors import SessionEndedError, SignInFailedError, TooManySignInsError
from execlave_server.model.people import Person
from execlave_server.model.secret import Secret
from execlave_server.store.protocol import Call, NewEvent, Parameters, StaleError, Write, find_one, integer
from execlave_server.vault.passwords import DECOY, is_password

SESSION_LIFE_US = 12 * 3_600_000_000  # a working day; whoever comes back tomorrow signs in again
SESSION_PATTERN = re.compile(r"exe_ses_[A-Za-z0-9_-]{43}")
PERIOD_US = 15 * 60_000_000  # attempts are counted anew every quarter of an hour
ATTEMPTS_EMAIL_AND_ADDRESS_MAX = 10  # somebody who has forgotten his password
ATTEMPTS_ADDRESS_MAX = 60  # an office behind one address
ATTEMPTS_EMAIL_MAX = 100  # from many addresses; high, because it keeps the person himself out too
FAILURES_EVERY_US = 100_000  # a failure is told at the next of these, so that its time does not tell a known email
BROWSER_CHARS_MAX = 300  # enough to recognise one by
COMMAND_LINE = "command"  # the address of who signs in on the machine itself

_METHOD = "password"


class Credentials(Struct, frozen=True):
    """What somebody presents, and from where. Without an organization the email must be in one only."""

    email: str
    password: Secret
    organization_id: str | None
    address: str
    browser: str = ""  # as it calls itself


class Session(Struct, frozen=True):
    """A session begun; the token is told this once."""

    person: Person
    token: Secret
    expires_at_us: int


class _KnownPerson(Person, frozen=True, kw_only=True):
    password_hash: str

    @property
    def person(self) -> Person:
        known = asdict(self)
        del known["password_hash"]
        return Person(**known)


class _Counter(NamedTuple):
    subject: bytes
    most: int


async def sign_in(services: Services, credentials: Credentials) -> Session:
    """Begin a session. Raises SignInFailedError, TooManySignInsError."""
    token = Secret(f"exe_ses_{services.clock.token()}")
    now_us = services.clock.now_us()
    session: Parameters = {
        "hash": services.keys.hash(token.reveal()),
        "now_us": now_us,
        "expires_at_us": now_us + SESSION_LIFE_US,
        "address": credentials.address,
        "browser": credentials.browser[:BROWSER_CHARS_MAX],
    }
    person = await _prove(services, credentials, session)
    return Session(person, token, now_us + SESSION_LIFE_US)


async def prove_person(services: Services, credentials: Credentials) -> Person:
    """Who this is, for one action without a session. Raises SignInFailedError, TooManySignInsError."""
    return await _prove(services, credentials, None)


async def identify_person(services: Services, token: str) -> Person:
    """Whose session this is. Raises SessionEndedError."""
    wanted: Parameters = {"hash": services.keys.hash(token), "now_us": services.clock.now_us()}
    person = await find_one(services.store, Person, "session_person", wanted)
    if person is None:
        raise SessionEndedError("This session has ended. Sign in again.")
    return person


async def sign_out(services: Services, token: str) -> None:
    """End a session, at once and everywhere."""
    ended: Parameters = {"hash": services.keys.hash(token), "now_us": services.clock.now_us()}
    await services.store.commit(Write(calls=[Call("revoke_session", ended)]))


async def sweep_sign_ins(services: Services) -> None:
    """Forget sessions and invitations that have expired, and attempts of periods that are over."""
    now_us = services.clock.now_us()
    calls = [
        Call("forget_sessions", {"before_us": now_us}),
        Call("forget_sign_ins", {"period": now_us // PERIOD_US}),
        Call("forget_invitations", {"before_us": now_us}),
    ]
    await services.store.commit(Write(calls=calls))


def plain_email(email: str) -> str:
    """An email as it is stored and looked up."""
    readable = email.encode(errors="replace").decode()  # a terminal may hand over bytes that are no text
    return unicodedata.normalize("NFKC", readable).strip().lower()


async def _prove(services: Services, credentials: Credentials, session: Parameters | None) -> Person:
    """Check a password and write down that it was tried. Nothing before the last line tells a known email."""
    started_us = services.clock.elapsed_us()
    email, period = plain_email(credentials.email), services.clock.now_us() // PERIOD_US
    counters = _counters(services, email, credentials.address)
    await _refuse_throttled(services, counters, period)
    known = await services.store.find(
        _KnownPerson, "people_by_email", {"email": email, "organization": credentials.organization_id or ""}
    )
    found = known[0] if len(known) == 1 else None
    fits = await is_password(found.password_hash if found else DECOY, credentials.password)
    charges = [
        Call("count_sign_in", {"subject": counter.subject, "period": period, "most": counter.most})
        for counter in counters
    ]
    proved = found if found and fits and found.disabled_at_us is None else None
    calls = [Call("forgive_sign_in", {"subject": counters[-1].subject})] if proved else []
    if proved and session is not None:
        row = {**session, "person": proved.id, "password_hash": proved.password_hash}
        charges.append(Call("insert_session", row))
    events = [_event(services, found, succeeded=proved is not None)] if found else []
    try:
        await services.store.commit(Write(charges=charges, calls=calls, events=events))
    except StaleError:  # attempts at the same moment were counted first, or the password has just been changed
        await _refuse_throttled(services, counters, period)
        proved = None
    if proved is None:
        spent_us = services.clock.elapsed_us() - started_us
        await asyncio.sleep(-spent_us % FAILURES_EVERY_US / 1e6)
        raise SignInFailedError(
            "Email and password do not belong together here. If you are in several organizations, name the one."
        )
    return proved.person


def _counters(services: Services, email: str, address: str) -> list[_Counter]:
    """What an attempt counts against; the last is forgiven when it succeeds."""
    return [
        _Counter(services.keys.hash(f"sign-in address {address}"), ATTEMPTS_ADDRESS_MAX),
        _Counter(services.keys.hash(f"sign-in email {email}"), ATTEMPTS_EMAIL_MAX),
        _Counter(services.keys.hash(f"sign-in both {address} {email}"), ATTEMPTS_EMAIL_AND_ADDRESS_MAX),
    ]


async def _refuse_throttled(services: Services, counters: list[_Counter], period: int) -> None:
    for counter in counters:
        rows = await services.store.rows("sign_in_attempts", {"subject": counter.subject, "period": period})
        if rows and integer(rows[0][0]) >= counter.most:
            minutes = PERIOD_US // 60_000_000
            raise TooManySignInsError(f"Too many attempts to sign in. Try again in {minutes} minutes.")


def _event(services: Services, person: Person, *, succeeded: bool) -> NewEvent:
    details = SignIn(method=_METHOD, person=person.id, succeeded=succeeded)
    actor = person.actor if succeeded else "server"  # who failed is not known
    event = Event(Kind.PERSON_SIGNED_IN, services.clock.now_us(), actor, person.actor, details)
    return NewEvent(person.organization, event)
