"""Who may sign in: added, changed, disabled and given a new password, by an owner or whoever has the machine."""

import re
from enum import StrEnum

from msgspec.structs import replace

from execlave_server.actions.services import Services
from execlave_server.actions.sign_in import plain_email
from execlave_server.audit.chain import Event
from execlave_server.audit.changes import COMMAND
from execlave_server.audit.events import Kind, PersonChange
from execlave_server.errors import ConflictError, NotFoundError, ValidationFailedError
from execlave_server.model.organizations import Organization
from execlave_server.model.passwords import is_obvious
from execlave_server.model.people import Person, PersonRole
from execlave_server.model.secret import Secret
from execlave_server.store.protocol import Call, NewEvent, Parameters, StaleError, Write, find_one
from execlave_server.vault.passwords import hash_password

EMAIL_CHARS_MAX = 254  # what mail can carry
NAME_CHARS_MAX = 200
PASSWORD_CHARS_MIN = 12
PASSWORD_CHARS_MAX = 256  # hashing longer ones would only cost time
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


class Change(StrEnum):
    """What happened to a person's account, or to an invitation."""

    INVITED = "invited"
    INVITATION_WITHDRAWN = "invitation_withdrawn"
    ADDED = "added"
    ROLE = "role"
    RENAMED = "renamed"
    DISABLED = "disabled"
    ENABLED = "enabled"
    PASSWORD = "password"  # noqa: S105 - the word, not one


async def add_person(
    services: Services, organization: Organization, *, email: str, name: str, role: PersonRole, password: Secret
) -> Person:
    """Add somebody who may sign in. Raises ValidationFailedError, ConflictError for an email that is here already."""
    person, insert = await new_person(services, organization, email=email, name=name, role=role, password=password)
    try:
        await services.store.commit(
            Write(charges=[insert], events=[person_event(person, Change.ADDED, person.created_at_us)])
        )
    except StaleError as error:
        raise ConflictError(f"{person.email} is in {organization.id} already.") from error
    return person


async def new_person(
    services: Services, organization: Organization, *, email: str, name: str, role: PersonRole, password: Secret
) -> tuple[Person, Call]:
    """Somebody who may sign in, and the charge that adds him. Raises ValidationFailedError naming what is wrong."""
    email, name = plain_email(email), name.strip()
    check_email(email)
    _check_name(name)
    check_password(password, email, name)
    person_id, now_us = f"usr_{services.clock.uuid().replace('-', '')}", services.clock.now_us()
    row: Parameters = {
        "id": person_id,
        "organization": organization.number,
        "email": email,
        "name": name,
        "role": role,
        "password_hash": await hash_password(password),
        "now_us": now_us,
    }
    person = Person(person_id, organization.number, organization.id, email, name, role, now_us, None)
    return person, Call("insert_person", row)


async def list_people(services: Services, organization: Organization) -> list[Person]:
    """Everybody, the disabled ones too, by email."""
    return await services.store.find(Person, "list_people", {"organization": organization.number})


async def find_person(services: Services, organization: Organization, person_id: str) -> Person:
    """Somebody of the organization by id. Raises NotFoundError."""
    wanted: Parameters = {"organization": organization.number, "id": person_id}
    person = await find_one(services.store, Person, "find_person", wanted)
    if person is None:
        raise NotFoundError(f"There is nobody with the id {person_id} in {organization.id}.")
    return person


async def find_person_by_email(services: Services, organization: Organization, email: str) -> Person:
    """Somebody of the organization by email. Raises NotFoundError."""
    wanted = plain_email(email)
    for person in await list_people(services, organization):
        if person.email == wanted:
            return person
    raise NotFoundError(f"There is nobody with the email {wanted} in {organization.id}.")


async def disable_person(
    services: Services, organization: Organization, email: str, *, actor: str = COMMAND, keep_an_owner: bool = False
) -> Person:
    """End every session of a person, and let none begin. Raises NotFoundError, ConflictError if it is done.

    With `keep_an_owner` the last owner stays: nobody could undo it on the pages.
    """
    person, now_us = await find_person_by_email(services, organization, email), services.clock.now_us()
    if person.disabled_at_us is not None:
        raise ConflictError(f"{person.email} is disabled already.")
    disable = Call("disable_person", {"organization": organization.number, "id": person.id, "now_us": now_us})
    ended = Call("revoke_sessions_of", {"person": person.id, "now_us": now_us})
    event = person_event(person, Change.DISABLED, now_us, actor)
    kept = _another_owner(person) if keep_an_owner else []
    try:
        await services.store.commit(Write(charges=[*kept, disable], calls=[ended], events=[event]))
    except StaleError as error:
        raise ConflictError(
            f"{person.email} is the last owner: make somebody else an owner first." if kept
            else f"{person.email} is disabled already."
        ) from error  # fmt: skip
    return person


async def enable_person(services: Services, person: Person, *, actor: str) -> None:
    """Let a disabled person sign in again, with the password he had. Raises ConflictError if he may already."""
    now_us = services.clock.now_us()
    enable = Call("enable_person", {"organization": person.organization, "id": person.id})
    try:
        await services.store.commit(
            Write(charges=[enable], events=[person_event(person, Change.ENABLED, now_us, actor)])
        )
    except StaleError as error:
        raise ConflictError(f"{person.email} may sign in already.") from error


async def change_role(services: Services, person: Person, role: PersonRole, *, actor: str) -> None:
    """From its commit on the person may what the new role has. Raises ConflictError for the last owner."""
    if person.role is role:
        return
    now_us = services.clock.now_us()
    row: Parameters = {"organization": person.organization, "id": person.id, "role": role}
    event = person_event(replace(person, role=role), Change.ROLE, now_us, actor)
    charges = [*_another_owner(person), Call("set_role", row)]
    try:
        await services.store.commit(Write(charges=charges, events=[event]))
    except StaleError as error:
        raise ConflictError(
            f"{person.email} is the last owner, or has just been changed. Make somebody else an owner first."
        ) from error


async def rename_person(services: Services, person: Person, name: str) -> None:
    """Call oneself something else. Raises ValidationFailedError."""
    name = name.strip()
    _check_name(name)
    row: Parameters = {"organization": person.organization, "id": person.id, "name": name}
    event = person_event(person, Change.RENAMED, services.clock.now_us(), person.actor)
    await services.store.commit(Write(charges=[Call("rename_person", row)], events=[event]))


async def change_password(
    services: Services, organization: Organization, email: str, password: Secret, *, actor: str = COMMAND
) -> Person:
    """Set a new password; every session of the person ends. Raises NotFoundError, ValidationFailedError."""
    person, now_us = await find_person_by_email(services, organization, email), services.clock.now_us()
    check_password(password, person.email, person.name)
    hashed = await hash_password(password)
    row: Parameters = {"organization": organization.number, "id": person.id, "password_hash": hashed}
    ended: Parameters = {"person": person.id, "now_us": now_us}
    calls = [Call("set_password", row), Call("revoke_sessions_of", ended)]
    event = person_event(person, Change.PASSWORD, now_us, actor)
    await services.store.commit(Write(calls=calls, events=[event]))
    return person


def person_event(person: Person, change: Change, now_us: int, actor: str = COMMAND) -> NewEvent:
    """What happened to somebody, for the audit chain."""
    details = PersonChange(change=change, person=person.id, role=person.role)
    return account_event(person.organization, person.actor, details, now_us, actor)


def account_event(organization: int, subject: str, details: PersonChange, now_us: int, actor: str) -> NewEvent:
    """What happened to an account or to an invitation, for the audit chain."""
    return NewEvent(organization, Event(Kind.PERSON_CHANGED, now_us, actor, subject, details))


def check_email(email: str) -> None:
    """Raise ValidationFailedError unless it is an email address."""
    if len(email) > EMAIL_CHARS_MAX or not _EMAIL.fullmatch(email):
        raise ValidationFailedError(f"{email!r} is not an email address.", fields={"email": "is not an email address"})


def check_password(password: Secret, *own: str) -> None:
    """Raise ValidationFailedError for a password that is too short, too long, or obvious for somebody called this."""
    length = len(password.reveal())
    if not PASSWORD_CHARS_MIN <= length <= PASSWORD_CHARS_MAX:
        raise ValidationFailedError(
            f"The password has {length} characters; it must have {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX}.",
            fields={"password": f"must have {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters"},
        )
    if is_obvious(password.reveal(), *own):
        raise ValidationFailedError(
            "This password is among the first that a guesser tries. Three or four unrelated words are better.",
            fields={"password": "is too easy to guess; three or four unrelated words are better"},
        )


def _check_name(name: str) -> None:
    if len(name) > NAME_CHARS_MAX:
        raise ValidationFailedError(f"The name has more than {NAME_CHARS_MAX} characters.", fields={"name": "too long"})


def _another_owner(person: Person) -> list[Call]:
    """What holds that an owner is left when this one no longer is."""
    if person.role is not PersonRole.OWNER:
        return []
    return [Call("another_owner", {"organization": person.organization, "id": person.id})]
