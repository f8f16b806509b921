"""The events of what people and the server change: who, what of it, and what it is now."""

from collections.abc import Callable
from hashlib import sha256

from execlave_server.audit.canonical import sorted_json
from execlave_server.audit.chain import Event
from execlave_server.audit.events import AgentChange, DestinationChange, Key, Kind
from execlave_server.model.agents import Agent, AgentStatus
from execlave_server.model.destinations import Destination, DestinationState

COMMAND = "command"  # an actor: somebody at the command line of the server's machine
SERVER = "server"  # an actor: the server or its worker, by itself

FromRow = Callable[[tuple[object, ...]], Event]
"""An event from what the statement that made the change returned."""

_KIND_OF_STATE = {
    DestinationState.DRAFT: Kind.DESTINATION_CHANGED,
    DestinationState.ENABLED: Kind.DESTINATION_ENABLED,
    DestinationState.HELD: Kind.DESTINATION_HELD,
    DestinationState.DISABLED: Kind.DESTINATION_DISABLED,
}


def agent_registered(actor: str, at_us: int) -> FromRow:
    """An agent registered, or registered differently; from `upsert_agent`."""

    def event(row: tuple[object, ...]) -> Event:
        agent_id, environment, status, level = row
        details = AgentChange(
            agent=str(agent_id),
            autonomy_level=None if level is None else str(level),
            environment=str(environment),
            status=str(status),
        )
        return Event(Kind.AGENT_REGISTERED, at_us, actor, f"agent:{details.agent}", details)

    return event


def agent_status_changed(
    actor: str, at_us: int, agent: Agent, status: AgentStatus, *, reason_digest: str | None = None
) -> Event:
    """An agent paused or resumed; `agent` is as it was before, the digest is salted."""
    details = AgentChange(
        agent=agent.id,
        autonomy_level=agent.autonomy_level,
        environment=agent.environment,
        reason_digest=reason_digest,
        status=status,
        was=agent.status,
    )
    return Event(Kind.AGENT_STATUS_CHANGED, at_us, actor, f"agent:{agent.id}", details)


def key_issued(actor: str, at_us: int, key_id: str, environment: str, role: str) -> Event:
    """An API key issued."""
    return Event(Kind.KEY_ISSUED, at_us, actor, f"key:{key_id}", Key(environment=environment, key=key_id, role=role))


def key_revoked(actor: str, at_us: int) -> FromRow:
    """An API key revoked; from `revoke_api_key`."""

    def event(row: tuple[object, ...]) -> Event:
        key_id, environment, role = (str(value) for value in row)
        details = Key(environment=environment, key=key_id, role=role)
        return Event(Kind.KEY_REVOKED, at_us, actor, f"key:{key_id}", details)

    return event


def destination_added(actor: str, at_us: int, destination_id: str, **settings: str) -> Event:
    """A destination added, as a draft."""
    return _destination_event(actor, at_us, destination_id, DestinationState.DRAFT, settings=settings)


def destination_changed(actor: str, at_us: int, before: Destination, after: Destination) -> Event | None:
    """What became of a destination: its new state, or new settings; None where only its test was noted."""
    if _governs(before) == _governs(after):
        return None
    settings = {
        "name": after.name,
        "site": after.site,
        "service": after.service,
        "ddtags": after.ddtags,
        "key_hint": after.key_hint,
    }
    kind = Kind.DESTINATION_CHANGED if before.state is after.state else None
    return _destination_event(actor, at_us, after.id, after.state, kind=kind, settings=settings)


def destination_switched(at_us: int, state: DestinationState) -> FromRow:
    """A destination that the worker held or resumed; from `hold_destination` and `resume_destination`."""
    return lambda row: _destination_event(SERVER, at_us, str(row[0]), state)


def _governs(destination: Destination) -> tuple[object, ...]:
    return (
        destination.name,
        destination.service,
        destination.ddtags,
        destination.events,
        destination.state,
        destination.connection,
        destination.candidate,
    )


def _destination_event(
    actor: str,
    at_us: int,
    destination_id: str,
    state: DestinationState,
    *,
    kind: Kind | None = None,
    settings: dict[str, str] | None = None,
) -> Event:
    digest = sha256(sorted_json(settings)).hexdigest() if settings else None
    details = DestinationChange(destination=destination_id, settings_digest=digest, state=state)
    return Event(kind or _KIND_OF_STATE[state], at_us, actor, f"destination:{destination_id}", details)
