"""Who may sign in: added, disabled and given a new password by whoever has the machine."""

import re
from enum import StrEnum

from execlave_server.actions.services import Services
from execlave_server.actions.sign_in import plain_email
from execlave_server.audit.chain import Event
from execlave_server.audit.events import Kind, PersonChange
from execlave_server.errors import ConflictError, NotFoundError, ValidationFailedError
from execlave_server.model.organizations import Organization
from execlave_server.model.people import Person, PersonRole
from execlave_server.model.secret import Secret
from execlave_server.store.protocol import Call, NewEvent, Parameters, StaleError, Write
from execlave_server.vault.passwords import hash_password

EMAIL_CHARS_MAX = 254  # what mail can carry
NAME_CHARS_MAX = 200
PASSWORD_CHARS_MIN = 12
PASSWORD_CHARS_MAX = 256  # hashing longer ones would only cost time
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


class Change(StrEnum):
    """What happened to a person's account."""

    ADDED = "added"
    DISABLED = "disabled"
    PASSWORD = "password"  # noqa: S105 - the word, not one


async def add_person(
    services: Services, organization: Organization, *, email: str, name: str, role: PersonRole, password: Secret
) -> Person:
    """Add somebody who may sign in. Raises ValidationFailedError, ConflictError for an email that is here already."""
    email, name = plain_email(email), name.strip()
    if len(email) > EMAIL_CHARS_MAX or not _EMAIL.fullmatch(email):
        raise ValidationFailedError(f"{email!r} is not an email address.", fields={"email": "is not an email address"})
    if len(name) > NAME_CHARS_MAX:
        raise ValidationFailedError(f"The name has more than {NAME_CHARS_MAX} characters.", fields={"name": "too long"})
    person_id, now_us = f"usr_{services.clock.uuid().replace('-', '')}", services.clock.now_us()
    row: Parameters = {
        "id": person_id,
        "organization": organization.number,
        "email": email,
        "name": name,
        "role": role,
        "password_hash": await _hash(password),
        "now_us": now_us,
    }
    person = Person(person_id, organization.number, organization.id, email, name, role, now_us, None)
    try:
        await services.store.commit(
            Write(charges=[Call("insert_person", row)], events=[_event(person, Change.ADDED, now_us)])
        )
    except StaleError as error:
        raise ConflictError(f"{email} is in {organization.id} already.") from error
    return person


async def list_people(services: Services, organization: Organization) -> list[Person]:
    """Everybody, the disabled ones too, by email."""
    return await services.store.find(Person, "list_people", {"organization": organization.number})


async def disable_person(services: Services, organization: Organization, email: str) -> Person:
    """End every session of a person, and let none begin. Raises NotFoundError, ConflictError if it is done."""
    person, now_us = await _find(services, organization, email), services.clock.now_us()
    disable = Call("disable_person", {"organization": organization.number, "id": person.id, "now_us": now_us})
    ended = Call("revoke_sessions_of", {"person": person.id, "now_us": now_us})
    event = _event(person, Change.DISABLED, now_us)
    try:
        await services.store.commit(Write(charges=[disable], calls=[ended], events=[event]))
    except StaleError as error:
        raise ConflictError(f"{person.email} is disabled already.") from error
    return person


async def change_password(services: Services, organization: Organization, email: str, password: Secret) -> Person:
    """Set a new password; every session of the person ends. Raises NotFoundError, ValidationFailedError."""
    person, now_us = await _find(services, organization, email), services.clock.now_us()
    row: Parameters = {"organization": organization.number, "id": person.id, "password_hash": await _hash(password)}
    ended: Parameters = {"person": person.id, "now_us": now_us}
    calls = [Call("set_password", row), Call("revoke_sessions_of", ended)]
    await services.store.commit(Write(calls=calls, events=[_event(person, Change.PASSWORD, now_us)]))
    return person


def _event(person: Person, change: Change, now_us: int) -> NewEvent:
    details = PersonChange(change=change, person=person.id, role=person.role)
    return NewEvent(person.organization, Event(Kind.PERSON_CHANGED, now_us, "command", person.actor, details))


async def _find(services: Services, organization: Organization, email: str) -> Person:
    wanted = plain_email(email)
    for person in await list_people(services, organization):
        if person.email == wanted:
            return person
    raise NotFoundError(f"There is nobody with the email {wanted} in {organization.id}.")


async def _hash(password: Secret) -> str:
    length = len(password.reveal())
    if not PASSWORD_CHARS_MIN <= length <= PASSWORD_CHARS_MAX:
        raise ValidationFailedError(
            f"The password has {length} characters; it must have {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX}.",
            fields={"password": f"must have {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters"},
        )
    return await hash_password(password)
