"""People: their passwords, sessions and attempts, on every engine."""

import asyncio

import pytest

from execlave_server.actions.manage_people import add_person, change_password, disable_person, list_people
from execlave_server.actions.sign_in import (
    ATTEMPTS_ADDRESS_MAX,
    ATTEMPTS_EMAIL_AND_ADDRESS_MAX,
    PERIOD_US,
    SESSION_LIFE_US,
    identify_person,
    prove_person,
    sign_in,
    sign_out,
    sweep_sign_ins,
)
from execlave_server.errors import (
    ConflictError,
    NotFoundError,
    SessionEndedError,
    SignInFailedError,
    TooManySignInsError,
    ValidationFailedError,
)
from execlave_server.model.people import PersonRole
from execlave_server.model.secret import Secret
from execlave_server.vault import passwords
from office import PASSWORD, Office, open_office, services_on


@pytest.fixture
async def office(store, clock, tmp_path) -> Office:
    """An organization with somebody in it."""
    return await open_office(services_on(store, clock, tmp_path))


async def test_a_password_begins_a_session(office, read):
    """The right password begins a session whose token is stored nowhere; the email is known in any case."""
    session = await sign_in(office.services, office.credentials(email=" ADA@example.COM"))
    person = await identify_person(office.services, session.token.reveal())

    assert person == session.person == office.ada
    assert (person.email, person.role) == ("ada@example.com", PersonRole.APPROVER)
    [(stored,)] = await read("select hash from sessions")
    assert session.token.reveal().encode() not in bytes(stored)


async def test_sign_ins_and_failures_of_known_people_are_audited(office):
    """The chain says who came in, and that somebody tried to as a known person; of strangers it says nothing."""
    await sign_in(office.services, office.credentials())
    for wrong in (office.credentials("wrong password"), office.credentials(email="nobody@example.com")):
        with pytest.raises(SignInFailedError):
            await sign_in(office.services, wrong)

    ada = office.ada.actor
    told = [(entry.actor, entry.subject, entry.details) for entry in await office.entries() if entry.subject == ada]
    assert [(actor, subject) for actor, subject, _ in told] == [("command", ada), (ada, ada), ("server", ada)]
    assert ['"succeeded":true' in details for _, _, details in told[1:]] == [True, False]


async def test_every_failure_sounds_the_same(office, monkeypatch):
    """Unknown, wrong, disabled, of another organization or of several: one message, and one password is checked."""
    checked = []
    verify = passwords._verify
    monkeypatch.setattr(passwords, "_verify", lambda *given: checked.append(given[0]) or verify(*given))
    await office.person("gone@example.com", PersonRole.VIEWER)
    await disable_person(office.services, office.organization, "gone@example.com")
    second = await open_office(office.services, "Globex")
    await second.person("eve@example.com", PersonRole.OWNER)
    await office.person("eve@example.com", PersonRole.OWNER)
    attempts = [
        office.credentials(email="nobody@example.com"),
        office.credentials("wrong password", email="eve@example.com"),
        office.credentials(email="gone@example.com"),
        office.credentials(email="eve@example.com"),
    ]

    messages = []
    for attempt in attempts:
        with pytest.raises(SignInFailedError) as caught:
            await sign_in(office.services, attempt)
        messages.append(caught.value.message)

    assert len(set(messages)) == 1
    assert len(checked) == len(attempts)
    assert {each.rpartition("$")[0].rpartition("$")[0] for each in checked} == {"$argon2id$v=19$m=19456,t=2,p=1"}


async def test_an_organization_tells_namesakes_apart(office):
    """An email that is in two organizations signs in to the one that is named."""
    second = await open_office(office.services, "Globex")
    credentials = office.credentials()
    named = type(credentials)(credentials.email, credentials.password, second.organization.id, "::1")

    assert (await prove_person(office.services, named)) == second.ada


async def test_attempts_are_throttled_and_forgiven(office, clock):
    """After ten failures even the right password is refused from there, not from elsewhere, until the period ends."""
    for _ in range(ATTEMPTS_EMAIL_AND_ADDRESS_MAX):
        with pytest.raises(SignInFailedError):
            await sign_in(office.services, office.credentials("wrong password"))

    with pytest.raises(TooManySignInsError):
        await sign_in(office.services, office.credentials())
    await sign_in(office.services, office.credentials(address="10.0.0.7"))
    clock.advance(us=PERIOD_US)
    await sign_in(office.services, office.credentials())


async def test_success_forgives_failures(office):
    """Who gets it right begins to count anew."""
    for _ in range(2):
        for _ in range(ATTEMPTS_EMAIL_AND_ADDRESS_MAX - 1):
            with pytest.raises(SignInFailedError):
                await prove_person(office.services, office.credentials("wrong password"))
        await prove_person(office.services, office.credentials())


async def test_attempts_at_the_same_moment_are_all_counted(office):
    """Guesses sent together get no more tries than guesses sent one after another."""
    guesses = [prove_person(office.services, office.credentials(f"wrong {number}")) for number in range(20)]
    results = await asyncio.gather(*guesses, return_exceptions=True)

    assert sum(isinstance(each, SignInFailedError) for each in results) == ATTEMPTS_EMAIL_AND_ADDRESS_MAX
    assert sum(isinstance(each, TooManySignInsError) for each in results) == 20 - ATTEMPTS_EMAIL_AND_ADDRESS_MAX


async def test_an_address_is_throttled_whatever_it_guesses(office, monkeypatch):
    """Strangers' emails are no way around the limit of an address."""
    monkeypatch.setattr(passwords, "_verify", lambda *_: False)
    for number in range(ATTEMPTS_ADDRESS_MAX):
        with pytest.raises(SignInFailedError):
            await prove_person(office.services, office.credentials(email=f"n{number}@example.com"))

    with pytest.raises(TooManySignInsError):
        await prove_person(office.services, office.credentials(email="another@example.com"))


@pytest.mark.parametrize("ending", ["sign_out", "expiry", "disable", "password"])
async def test_a_session_ends(office, clock, ending):
    """A session ends by signing out, by the clock, when its person is disabled or gets a new password."""
    services, organization = office.services, office.organization
    token = (await sign_in(services, office.credentials())).token.reveal()
    match ending:
        case "sign_out":
            await sign_out(services, token)
        case "expiry":
            clock.advance(us=SESSION_LIFE_US)
        case "disable":
            await disable_person(services, organization, "ada@example.com")
        case "password":
            await change_password(services, organization, "ada@example.com", Secret("another long password"))

    with pytest.raises(SessionEndedError):
        await identify_person(services, token)
    if ending == "password":
        await sign_in(services, office.credentials("another long password"))


async def test_a_password_is_what_it_looks_like(office):
    """An accented letter is the same whether a keyboard made one code point of it or two."""
    await change_password(office.services, office.organization, "ada@example.com", Secret("cafe\u0301 cafe\u0301 cafe"))

    assert (await prove_person(office.services, office.credentials("caf\u00e9 caf\u00e9 cafe"))) == office.ada


async def test_what_is_over_is_swept(office, clock, read):
    """Sessions that have expired and attempts of past periods are forgotten, the others kept."""
    await sign_in(office.services, office.credentials())
    clock.advance(us=SESSION_LIFE_US // 2)
    kept = (await sign_in(office.services, office.credentials())).token.reveal()
    clock.advance(us=SESSION_LIFE_US // 2 + 1)
    await sweep_sign_ins(office.services)

    assert await read("select count(*) from sessions") == [(1,)]
    assert await read("select count(*) from sign_in_attempts") == [(0,)]
    assert (await identify_person(office.services, kept)) == office.ada


async def test_people_are_listed_and_named_once(office):
    """An email is in an organization once; a second time, and disabling twice or nobody, is refused."""
    services, organization = office.services, office.organization
    with pytest.raises(ConflictError):
        await office.person("ada@EXAMPLE.com", PersonRole.VIEWER)
    await disable_person(services, organization, "ADA@example.com")
    with pytest.raises(ConflictError):
        await disable_person(services, organization, "ada@example.com")
    with pytest.raises(NotFoundError):
        await disable_person(services, organization, "nobody@example.com")

    [listed] = await list_people(services, organization)
    assert listed.disabled_at_us is not None
    assert [told["change"] for told in await office.told("person.changed")] == ["added", "disabled"]


@pytest.mark.parametrize(
    ("email", "password"), [("no-address", PASSWORD), ("a@b", "too short"), ("a@b", "x" * 257), ("", PASSWORD)]
)
async def test_a_bad_person_is_refused(office, email, password):
    """An address that is none, and a password that is too short or too long, are refused."""
    with pytest.raises(ValidationFailedError):
        await add_person(
            office.services,
            office.organization,
            email=email,
            name="",
            role=PersonRole.VIEWER,
            password=Secret(password),
        )


def test_the_decoy_costs_what_a_password_costs():
    """The hash that strangers are checked against has the parameters of every new one."""
    fresh = passwords._HASHER.hash("x")

    assert passwords.DECOY.split("$")[:4] == fresh.split("$")[:4]
    assert not passwords._HASHER.check_needs_rehash(passwords.DECOY)
