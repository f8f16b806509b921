"""Incidents as people read them: the list, and one with its timeline and traces."""

from typing import NamedTuple

from msgspec import Struct

from execlave_server.actions.services import Services
from execlave_server.errors import NotFoundError, ValidationFailedError
from execlave_server.model.incidents import Incident, IncidentState, IncidentStep, IncidentTrace, Severity
from execlave_server.model.people import Caller
from execlave_server.store.protocol import Parameters, find_one, integer

INCIDENTS_PER_PAGE = 50
INCIDENTS_PER_PAGE_MAX = 200
STEPS_MAX = 1_000
MEMBERS_SHOWN_MAX = 500
UNRESOLVED = "unresolved"  # a filter: open or acknowledged
NEWEST_US = (1 << 62) - 1
ABOVE_EVERY_ID = "~"  # ids are UUIDs


class IncidentPage(NamedTuple):
    """A page, the newest first; `next` is the cursor of the next one, None at the end."""

    incidents: list[Incident]
    next: str | None


class IncidentFile(NamedTuple):
    """An incident with everything about it."""

    incident: Incident
    steps: list[IncidentStep]
    traces: list[IncidentTrace]


class IncidentOfTrace(Struct, frozen=True):
    """An incident that a trace belongs to."""

    id: str
    state: IncidentState
    severity: Severity


async def list_incidents(
    services: Services, caller: Caller, *, state: str = "", cursor: str = "", limit: int = INCIDENTS_PER_PAGE
) -> IncidentPage:
    """A page of the incidents in a state (or `unresolved`, or all). Raises ValidationFailedError."""
    if state not in ("", UNRESOLVED, *IncidentState):
        known = ", ".join((UNRESOLVED, *IncidentState))
        raise ValidationFailedError(f"state is {state!r}; use one of {known}.", fields={"state": known})
    before_us, before = _read_cursor(cursor)
    wanted: Parameters = {
        "organization": caller.organization,
        "state": state,
        "before_us": before_us,
        "before": before,
        "limit": limit + 1,
    }
    found = await services.store.find(Incident, "list_incidents", wanted)
    last = found[limit - 1] if len(found) > limit else None
    return IncidentPage(found[:limit], f"{last.opened_at_us}.{last.id}" if last else None)


async def count_incidents(services: Services, caller: Caller) -> dict[IncidentState, int]:
    """How many incidents there are in each state."""
    rows = await services.store.rows("count_incidents", {"organization": caller.organization})
    counts = dict.fromkeys(IncidentState, 0)
    return counts | {IncidentState(str(state)): integer(count) for state, count in rows}


async def find_incident(services: Services, caller: Caller, incident: str) -> Incident:
    """An incident of this organization. Raises NotFoundError."""
    wanted: Parameters = {"organization": caller.organization, "id": incident}
    found = await find_one(services.store, Incident, "find_incident", wanted)
    if found is None:
        raise NotFoundError(f"There is no incident {incident[:64]!r} in this organization.")
    return found


async def read_incident(services: Services, caller: Caller, incident: str) -> IncidentFile:
    """An incident with its timeline, oldest first, and its first 500 traces. Raises NotFoundError."""
    found = await find_incident(services, caller, incident)
    scope: Parameters = {"organization": caller.organization, "incident": incident}
    steps = await services.store.find(IncidentStep, "incident_steps", {**scope, "limit": STEPS_MAX})
    traces = await services.store.find(IncidentTrace, "incident_traces", {**scope, "limit": MEMBERS_SHOWN_MAX})
    return IncidentFile(found, steps, traces)


async def incidents_of_trace(services: Services, caller: Caller, trace_id: str) -> list[IncidentOfTrace]:
    """The incidents that a trace belongs to, the newest first."""
    wanted: Parameters = {"organization": caller.organization, "trace_id": trace_id, "limit": 20}
    return await services.store.find(IncidentOfTrace, "incidents_of_trace", wanted)


def _read_cursor(cursor: str) -> tuple[int, str]:
    if not cursor:
        return NEWEST_US, ABOVE_EVERY_ID
    opened_at, _, incident = cursor.partition(".")
    if not (opened_at.isascii() and opened_at.isdigit() and len(opened_at) < 19 and incident):  # noqa: PLR2004 - a bigint
        raise ValidationFailedError("The cursor is not one of a page before.", fields={"cursor": cursor[:64]})
    return int(opened_at), incident
