"""Links by which somebody comes in: the first person of an installation, and whom an owner invites. Each works once."""

from enum import StrEnum

from msgspec import Struct

from execlave_server.actions.manage_people import (
    Change,
    account_event,
    check_email,
    list_people,
    new_person,
    person_event,
)
from execlave_server.actions.services import Services
from execlave_server.actions.sign_in import plain_email
from execlave_server.audit.events import PersonChange
from execlave_server.errors import ConflictError, NotFoundError
from execlave_server.model.organizations import Organization
from execlave_server.model.people import Person, PersonRole
from execlave_server.model.secret import Secret
from execlave_server.store.protocol import Call, Parameters, StaleError, Write, find_one

WELCOME_LIFE_US = 24 * 3_600_000_000  # a day; every start of the server prints a new one
INVITE_LIFE_US = 7 * 24 * 3_600_000_000  # a week: somebody may be away


class LinkEndedError(NotFoundError):
    """The link was used, replaced or withdrawn, is too old, or never was."""

    code = "LINK_ENDED"


class InvitationKind(StrEnum):
    """What a link is for: the owner of an organization without people, or somebody more."""

    WELCOME = "welcome"
    INVITE = "invite"


class Invitation(Struct, frozen=True):
    """A link that still works, without the link. Without an email whoever has it says his own."""

    id: str
    organization: int
    organization_id: str
    organization_name: str
    kind: InvitationKind
    email: str | None
    role: PersonRole
    created_at_us: int
    expires_at_us: int


async def open_welcome(services: Services) -> Secret | None:
    """The token of a new link for the first owner, in place of any before; None once there is somebody."""
    organization = await find_one(services.store, Organization, "first_without_people", {})
    if organization is None:
        return None
    now_us, token = services.clock.now_us(), Secret(services.clock.token())
    ended = Call("end_welcomes", {"organization": organization.number, "now_us": now_us})
    row = _row(services, organization, InvitationKind.WELCOME, token, PersonRole.OWNER)
    insert = Call("insert_invitation", {**row, "expires_at_us": now_us + WELCOME_LIFE_US})
    await services.store.commit(Write(calls=[ended, insert]))
    return token


async def invite_person(
    services: Services, inviter: Person, organization: Organization, email: str, role: PersonRole
) -> Secret:
    """The token of a link for somebody, in place of any he has. Raises ValidationFailedError, ConflictError."""
    email = plain_email(email)
    check_email(email)
    if any(person.email == email for person in await list_people(services, organization)):
        raise ConflictError(f"{email} is a member already. Change the role, or enable the account, in the list.")
    now_us, token = services.clock.now_us(), Secret(services.clock.token())
    row = _row(services, organization, InvitationKind.INVITE, token, role)
    insert = Call(
        "insert_invitation",
        {**row, "email": email, "created_by": inviter.id, "expires_at_us": now_us + INVITE_LIFE_US},
    )
    ended = Call("end_invitations_of", {"organization": organization.number, "email": email, "now_us": now_us})
    details = PersonChange(change=Change.INVITED, person=str(row["id"]), role=role)
    event = account_event(organization.number, f"invitation:{details.person}", details, now_us, inviter.actor)
    await services.store.commit(Write(calls=[ended, insert], events=[event]))
    return token


async def list_invitations(services: Services, organization: Organization) -> list[Invitation]:
    """The invitations that wait to be accepted, the oldest first."""
    wanted: Parameters = {"organization": organization.number, "now_us": services.clock.now_us()}
    return await services.store.find(Invitation, "open_invitations", wanted)


async def withdraw_invitation(services: Services, owner: Person, organization: Organization, invitation: str) -> None:
    """From its commit on the link does nothing. Raises NotFoundError."""
    now_us = services.clock.now_us()
    found = [each for each in await list_invitations(services, organization) if each.id == invitation]
    gone = NotFoundError("There is no such invitation, or it was accepted already.")
    if not found:
        raise gone
    place: Parameters = {"organization": organization.number, "id": invitation, "now_us": now_us}
    details = PersonChange(change=Change.INVITATION_WITHDRAWN, person=invitation, role=found[0].role)
    event = account_event(organization.number, f"invitation:{invitation}", details, now_us, owner.actor)
    try:
        await services.store.commit(Write(charges=[Call("revoke_invitation", place)], events=[event]))
    except StaleError as error:
        raise gone from error


async def find_invitation(services: Services, token: str) -> Invitation:
    """What a link is for. Raises LinkEndedError alike for one that never was, was used, ended or replaced."""
    wanted: Parameters = {"hash": _hash(services, token), "now_us": services.clock.now_us()}
    invitation = await find_one(services.store, Invitation, "find_invitation", wanted)
    if invitation is None:
        raise LinkEndedError(
            "This link does not work any more: it was used, replaced by a newer one, or is too old. Ask for a new one; "
            "for the first owner the server prints one whenever it starts."
        )
    return invitation


async def accept_invitation(services: Services, token: str, *, email: str, name: str, password: Secret) -> Person:
    """The person that the link makes, once. Raises LinkEndedError, ValidationFailedError, ConflictError."""
    invitation = await find_invitation(services, token)
    organization = Organization(invitation.organization, invitation.organization_id, invitation.organization_name, 0, 0)
    person, insert = await new_person(
        services, organization, email=invitation.email or email, name=name, role=invitation.role, password=password
    )
    used: Parameters = {
        "organization": organization.number,
        "id": invitation.id,
        "now_us": person.created_at_us,
    }
    event = person_event(person, Change.ADDED, person.created_at_us, person.actor)
    try:
        await services.store.commit(Write(charges=[Call("use_invitation", used), insert], events=[event]))
    except StaleError as error:
        await find_invitation(services, token)
        raise ConflictError(f"{person.email} is a member of {organization.name} already. Sign in instead.") from error
    return person


def _row(
    services: Services, organization: Organization, kind: InvitationKind, token: Secret, role: PersonRole
) -> dict[str, str | int | bytes | None]:
    return {
        "id": f"inv_{services.clock.uuid().replace('-', '')}",
        "organization": organization.number,
        "hash": _hash(services, token.reveal()),
        "kind": kind,
        "email": None,
        "role": role,
        "created_by": None,
        "now_us": services.clock.now_us(),
    }


def _hash(services: Services, token: str) -> bytes:
    return services.keys.hash(f"invitation {token}")
