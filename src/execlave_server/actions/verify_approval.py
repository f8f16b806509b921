"""Before an approved action runs: whether it is what was approved, in time, once, by an anchored certificate."""

import hashlib
from dataclasses import replace

import msgspec
from msgspec import Struct

from execlave_server.actions.decide_approval import Granted, claims_of
from execlave_server.actions.meter import free_reservation
from execlave_server.actions.open_signer import open_signer
from execlave_server.actions.read_agents import standing_checks
from execlave_server.actions.read_approvals import find_approval, read_event_context
from execlave_server.actions.services import Services
from execlave_server.audit.chain import Entry, Event, hash_of
from execlave_server.audit.events import ApprovalUsed, CertificateIssued, Kind
from execlave_server.errors import ConflictError, UnavailableError
from execlave_server.model.agents import resolve_agent
from execlave_server.model.approvals import Approval, Misuse
from execlave_server.model.organizations import ApiKey
from execlave_server.policy.standing import check_agent
from execlave_server.store.protocol import Call, Check, NewEvent, Parameters, StaleError, Write, find_one

VERIFY_AGAIN_MAX = 5  # each time means that the agent or the certificate changed between reading and committing


class Verification(Struct, frozen=True):
    """The verdict. `reason` and no certificate where it is not valid."""

    valid: bool
    verified_at_us: int
    reason: Misuse | None = None
    certificate: str | None = None


async def verify_approval(services: Services, key: ApiKey, approval_id: str, action_digest: str) -> Verification:
    """Use an approval's certificate up for an action, or say why it does not cover it.

    Raises ConflictError when the agent is stopped, UnavailableError when no verdict can be committed.
    """
    for _ in range(VERIFY_AGAIN_MAX):
        approval = await find_approval(services, key.organization, approval_id)
        now_us = services.clock.now_us()
        if approval is None:
            return Verification(valid=False, verified_at_us=now_us, reason=Misuse.UNANCHORED)
        misuse = await _find_misuse(services, key, approval, action_digest, now_us)
        if misuse is not None:
            event = replace(
                _event(key, approval, Kind.APPROVAL_MISUSED, misuse, now_us),
                context=await read_event_context(services, approval),
            )
            await services.store.commit(Write(events=[event]))
            return Verification(valid=False, verified_at_us=now_us, reason=misuse)
        checks = await _checks(services, key, approval)
        use: Parameters = {
            "organization": approval.organization,
            "id": approval.id,
            "certificate_id": approval.certificate_id,
            "now_us": now_us,
        }
        event = _event(key, approval, Kind.APPROVAL_VERIFIED, None, now_us)
        freed = free_reservation(approval.organization, approval.decision, now_us)
        write = Write(checks=checks, charges=[Call("use_certificate", use)], calls=[freed], events=[event])
        try:
            await services.store.commit(write)
        except StaleError:
            continue
        return Verification(valid=True, verified_at_us=now_us, certificate=approval.certificate)
    raise UnavailableError("This agent changes in the registry faster than a verdict can be committed. Try again.")


async def _find_misuse(
    services: Services, key: ApiKey, approval: Approval, action_digest: str, now_us: int
) -> Misuse | None:
    """Why the certificate does not cover this action now; None when it does."""
    match approval:
        case Approval(
            certificate=str(certificate),
            certificate_id=str(certificate_id),
            certificate_expires_at_us=int(expires_at_us),
            decided_by=str(by),
            decided_at_us=int(at_us),
        ):
            granted = Granted(certificate_id, by, at_us, expires_at_us)
        case _:
            return Misuse.UNANCHORED  # nobody approved it
    signer = await open_signer(services)
    anchor = await _find_anchor(services, approval)
    digest = hashlib.sha256(certificate.encode()).hexdigest()
    signed = signer.open(certificate) == claims_of(approval, key.organization_id, granted)
    anchored = anchor is not None and anchor.certificate == certificate_id
    same_bytes = anchor is None or anchor.certificate_digest == digest
    faults = (
        (not signed or not same_bytes, Misuse.TAMPERED),
        (not anchored, Misuse.UNANCHORED),
        (action_digest != approval.action_digest, Misuse.CONTEXT_MISMATCH),
        (approval.certificate_verified_at_us is not None, Misuse.ALREADY_USED),
        (now_us >= expires_at_us, Misuse.EXPIRED),
    )
    return next((misuse for is_fault, misuse in faults if is_fault), None)


async def _find_anchor(services: Services, approval: Approval) -> CertificateIssued | None:
    """What the audit chain says of the certificate; None without an entry that is as it was written."""
    wanted: Parameters = {"organization": approval.organization, "subject": f"approval:{approval.id}"}
    entry = await find_one(services.store, Entry, "certificate_entry", wanted)
    if entry is None or hash_of(entry) != entry.hash:
        return None
    try:
        return msgspec.json.decode(entry.details, type=CertificateIssued)
    except msgspec.MsgspecError:
        return None


async def _checks(services: Services, key: ApiKey, approval: Approval) -> list[Check]:
    """Hold while the key is not revoked and the agent not stopped. Raises ConflictError for an agent that is."""
    reference = approval.agent or approval.agent_reference
    named = await services.agents.named(key, [reference], fresh=True)
    stopped = check_agent(resolve_agent(named[reference], reference, approval.environment))
    if stopped:
        raise ConflictError(f"{stopped.message}. What was approved does not run while it is stopped.")
    return standing_checks(key, named)


def _event(key: ApiKey, approval: Approval, kind: Kind, misuse: Misuse | None, now_us: int) -> NewEvent:
    details = ApprovalUsed(approval=approval.id, certificate=approval.certificate_id, reason=misuse)
    return NewEvent(approval.organization, Event(kind, now_us, key.actor, f"approval:{approval.id}", details))
