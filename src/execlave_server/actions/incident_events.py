"""The step of an incident as an event of the audit chain: who did what, and salted digests of what he wrote."""

from execlave_server.audit.chain import Event
from execlave_server.audit.events import IncidentStep, Kind
from execlave_server.store.protocol import NewEvent


def incident_event(
    kind: Kind,
    organization: int,
    incident: str,
    *,
    actor: str,
    now_us: int,
    severity: str,
    state: str,
    agent: str | None = None,
    policy: str | None = None,
    assignee: str | None = None,
    text_digest: str | None = None,
) -> NewEvent:
    """The event of one step."""
    details = IncidentStep(
        agent=agent,
        assignee=assignee,
        incident=incident,
        policy=policy,
        severity=severity,
        state=state,
        text_digest=text_digest,
    )
    return NewEvent(organization, Event(kind, now_us, actor, f"incident:{incident}", details))
