"""A signed-in person grants or denies; what is granted gets its certificate in the same commit."""

import hashlib
from dataclasses import replace
from typing import NamedTuple, NoReturn

from execlave_server.actions.open_signer import open_signer
from execlave_server.actions.read_approvals import get_approval, read_event_context
from execlave_server.actions.services import Services
from execlave_server.actions.stop_unapproved import stop_unapproved
from execlave_server.audit.canonical import salted_digest
from execlave_server.audit.chain import Event
from execlave_server.audit.events import ApprovalDecided, CertificateIssued, Details, Kind
from execlave_server.errors import ConflictError, ForbiddenError, ValidationFailedError
from execlave_server.model.approvals import CERTIFICATE_LIFE_US, REASON_CHARS_MAX, Approval, ApprovalStatus
from execlave_server.model.people import Person
from execlave_server.model.permissions import Permission, require
from execlave_server.store.protocol import Call, Check, NewEvent, Parameters, StaleError, Write
from execlave_server.vault.certificates import ISSUER, CertificateClaims


class Granted(NamedTuple):
    """A grant: the id of its certificate, by whom (a person's id), when, and until when it may be used."""

    certificate_id: str
    by: str
    at_us: int
    expires_at_us: int


async def grant_approval(services: Services, person: Person, approval_id: str, reason: str) -> Approval:
    """Let the action run once, within ten minutes. Raises as `deny_approval`."""
    approval = await _open_approval(services, person, approval_id, reason)
    now_us = services.clock.now_us()
    expires_at_us = now_us + CERTIFICATE_LIFE_US
    granted = Granted(f"cert_{services.clock.uuid().replace('-', '')}", person.id, now_us, expires_at_us)
    claims = claims_of(approval, person.organization_id, granted)
    certificate = (await open_signer(services)).sign(claims)
    issued = CertificateIssued(
        action_digest=salted_digest(approval.salt, b"action", approval.action_digest.encode()),
        approval=approval.id,
        certificate=claims.jti,
        certificate_digest=hashlib.sha256(certificate.encode()).hexdigest(),
        expires_at_us=expires_at_us,
    )
    row: Parameters = {
        **_decision(approval, person, reason, now_us),
        "certificate_id": claims.jti,
        "certificate": certificate,
        "certificate_expires_at_us": expires_at_us,
    }
    events = [
        _decided(approval, person, ApprovalStatus.APPROVED, reason, now_us),
        _event(approval, person, Kind.CERTIFICATE_ISSUED, issued, now_us),
    ]
    return await _commit(services, person, approval, Write(charges=[Call("grant_approval", row)], events=events))


async def deny_approval(services: Services, person: Person, approval_id: str, reason: str) -> Approval:
    """Keep the action from running; one trace says that it was stopped.

    Raises NotFoundError; ForbiddenError without the permission, or for who asked for it; ConflictError when it is
    decided or expired; ValidationFailedError without a reason.
    """
    approval = await _open_approval(services, person, approval_id, reason)
    now_us = services.clock.now_us()
    stopped = await stop_unapproved(services, person.organization_id, approval, ApprovalStatus.DENIED, now_us)
    write = Write(
        charges=[Call("deny_approval", _decision(approval, person, reason, now_us))],
        calls=stopped.calls,
        traces=stopped.traces,
        events=[_decided(approval, person, ApprovalStatus.DENIED, reason, now_us)],
    )
    return await _commit(services, person, approval, write)


def claims_of(approval: Approval, organization_id: str, granted: Granted) -> CertificateClaims:
    """What the certificate of a granted approval says."""
    return CertificateClaims(
        act=approval.action_digest,
        agent=approval.agent or approval.agent_reference,
        approval=approval.id,
        by=granted.by,
        exp=granted.expires_at_us // 1_000_000,
        iat=granted.at_us // 1_000_000,
        iss=ISSUER,
        jti=granted.certificate_id,
        org=organization_id,
    )


async def _open_approval(services: Services, person: Person, approval_id: str, reason: str) -> Approval:
    require(person, Permission.APPROVALS_DECIDE)
    if not reason.strip() or len(reason) > REASON_CHARS_MAX:
        message = f"must have 1 to {REASON_CHARS_MAX} characters"
        raise ValidationFailedError(f"A decision needs a reason: it {message}.", fields={"reason": message})
    approval = await get_approval(services, person.organization, approval_id)
    if approval.requester and approval.requester.lower() in (person.email, person.id):
        raise ForbiddenError("You asked for this action yourself; somebody else must decide about it.")
    _refuse_decided(services, approval)
    return approval


def _refuse_decided(services: Services, approval: Approval) -> None:
    status = approval.status_at(services.clock.now_us())
    if status is not ApprovalStatus.PENDING:
        raise ConflictError(f"The approval {approval.id} is {status}; it can no longer be decided.")


async def _commit(services: Services, person: Person, approval: Approval, write: Write) -> Approval:
    """Commit a decision, if the approval still waits and the person may still decide."""
    standing: Parameters = {"organization": person.organization, "person": person.id}
    check = Check("person_standing", standing, (person.role, None))
    context = await read_event_context(services, approval)
    events = [replace(event, context=context) for event in write.events if isinstance(event, NewEvent)]
    try:
        await services.store.commit(replace(write, checks=[check], events=events))
    except StaleError:
        await _explain(services, approval)
    return await get_approval(services, approval.organization, approval.id)


async def _explain(services: Services, approval: Approval) -> NoReturn:
    _refuse_decided(services, await get_approval(services, approval.organization, approval.id))
    raise ForbiddenError("Your account was changed at this moment. Sign in again.")


def _decision(approval: Approval, person: Person, reason: str, now_us: int) -> Parameters:
    return {
        "organization": approval.organization,
        "id": approval.id,
        "person": person.id,
        "reason": reason,
        "now_us": now_us,
    }


def _decided(approval: Approval, person: Person, outcome: ApprovalStatus, reason: str, now_us: int) -> NewEvent:
    reason_digest = salted_digest(approval.salt, b"reason", reason.encode())
    details = ApprovalDecided(approval=approval.id, outcome=outcome, reason_digest=reason_digest)
    return _event(approval, person, Kind.APPROVAL_DECIDED, details, now_us)


def _event(approval: Approval, person: Person, kind: Kind, details: Details, now_us: int) -> NewEvent:
    return NewEvent(approval.organization, Event(kind, now_us, person.actor, f"approval:{approval.id}", details))
