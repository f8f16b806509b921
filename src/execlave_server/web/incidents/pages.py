"""The list of incidents, the page of one, and what people do there."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.responses import Response

from execlave_server.actions.export_incident import described, export_incident
from execlave_server.actions.handle_incident import (
    acknowledge_incident,
    assign_incident,
    comment_incident,
    contain_incident,
    reopen_incident,
    resolve_incident,
)
from execlave_server.actions.manage_people import list_people
from execlave_server.actions.read_incidents import (
    INCIDENTS_PER_PAGE_MAX,
    UNRESOLVED,
    count_incidents,
    list_incidents,
    read_incident,
)
from execlave_server.errors import ConflictError, NotFoundError, ValidationFailedError
from execlave_server.model.agents import Agent, AgentStatus
from execlave_server.model.incidents import Incident, IncidentState
from execlave_server.model.permissions import Permission
from execlave_server.web.csv_cells import csv_text
from execlave_server.web.exchange import Page, PageRoute
from execlave_server.web.live import Topic
from execlave_server.web.render import iso
from execlave_server.web.traces.addresses import areas_of, trace_path

DOWNLOAD_MAX = 5_000  # incidents of one download
ALL = "all"
_STATES = (UNRESOLVED, *IncidentState, ALL)
_COLUMNS = (
    "id", "state", "severity", "agent_id", "agent_name", "environment", "policy_id", "policy_name", "violations",
    "assignee", "opened_by", "opened_at", "first_seen_at", "last_seen_at", "resolved_at", "resolution",
)  # fmt: skip


async def show_incidents(page: Page) -> Response:
    """The list of one state; what is not resolved unless the address says otherwise."""
    values = await _listed(page)
    return page.render("incidents/list.html", **values, states=_STATES, is_live=not page.query["cursor"])


async def refresh_incidents(page: Page) -> str:
    """The first page of the list, as it is now."""
    return page.fragment("incidents/table.html", **await _listed(page))


async def download_csv(page: Page) -> Response:
    """The list as CSV."""
    text = csv_text(_COLUMNS, [_cells(incident) for incident in await _every(page)])
    return _download(text.encode(), "text/csv", "incidents.csv")


async def download_json(page: Page) -> Response:
    """The list as JSON."""
    shown = [described(incident) for incident in await _every(page)]
    return _download(msgspec.json.format(msgspec.json.encode(shown), indent=1), "application/json", "incidents.json")


async def show_incident(page: Page) -> Response:
    """The page of one."""
    return await _show(page)


async def download_evidence(page: Page) -> Response:
    """The evidence bundle."""
    bundle = await export_incident(page.services, page.person, page.path("incident"))
    return _download(bundle, "application/json", f"incident-{page.path('incident')}.json")


async def post_acknowledge(page: Page) -> Response:
    """Somebody is on it."""
    step = acknowledge_incident(page.services, page.person, page.path("incident"))
    return await _taken(page, step, "You have acknowledged it.")


async def post_assign(page: Page) -> Response:
    """Give it to somebody."""
    step = assign_incident(page.services, page.person, page.path("incident"), page.form["assignee"] or None)
    return await _taken(page, step, "It is assigned.")


async def post_comment(page: Page) -> Response:
    """Add a remark."""
    step = comment_incident(page.services, page.person, page.path("incident"), page.form["text"])
    return await _taken(page, step, "The comment is in the timeline.")


async def post_contain(page: Page) -> Response:
    """Pause the agent."""
    step = contain_incident(page.services, page.person, page.path("incident"), page.form["contain_reason"])
    return await _taken(page, step, "The agent is paused: its next decision is a block.", contain_reason="reason")


async def post_resolve(page: Page) -> Response:
    """Close it."""
    step = resolve_incident(page.services, page.person, page.path("incident"), page.form["resolve_reason"])
    return await _taken(page, step, "The incident is resolved.", resolve_reason="reason")


async def post_reopen(page: Page) -> Response:
    """Take it up again."""
    step = reopen_incident(page.services, page.person, page.path("incident"), page.form["reopen_reason"])
    return await _taken(page, step, "The incident is open again.", reopen_reason="reason")


async def _taken(page: Page, step: Awaitable[Incident], said: str, **fields: str) -> Response:
    """After a step: the page anew; where the step was refused, with what was typed. `fields` are the form's names."""
    try:
        await step
    except ValidationFailedError as error:
        named = {form: error.fields[field] for form, field in fields.items() if field in error.fields}
        return await _show(page, 400, problem=error.message, errors={**error.fields, **named})
    except ConflictError as error:
        return await _show(page, 409, problem=error.message)
    return page.redirect(f"/incidents/{page.path('incident')}", said)


async def _show(
    page: Page, status: int = 200, *, problem: str | None = None, errors: dict[str, str] | None = None
) -> Response:
    file = await read_incident(page.services, page.person, page.path("incident"))
    agent = await _agent(page, file.incident)
    people = await list_people(page.services, page.organization) if page.may(Permission.INCIDENTS_EDIT) else []
    names = {each.actor: each.name or each.email for each in await list_people(page.services, page.organization)}
    return page.render(
        "incidents/show.html",
        status,
        problem=problem,
        errors=errors or {},
        file=file,
        incident=file.incident,
        agent=agent,
        may_contain=page.may(Permission.AGENTS_CONTROL) and agent is not None and agent.status is AgentStatus.ACTIVE,
        people=[("", "Nobody"), *((each.id, each.name or each.email) for each in people if not each.disabled_at_us)],
        names=names,
        areas=areas_of(page),
        trace_path=trace_path,
    )


async def _agent(page: Page, incident: Incident) -> Agent | None:
    if incident.agent is None:
        return None
    try:
        return await page.services.agents.find_fresh(page.person, incident.agent)
    except NotFoundError:
        return None


async def _listed(page: Page) -> dict[str, Any]:
    state = page.query["state"] or UNRESOLVED
    wanted = "" if state == ALL else state
    found = await list_incidents(page.services, page.person, state=wanted, cursor=page.query["cursor"])
    counts = await count_incidents(page.services, page.person)
    return {"state": state, "found": found, "counts": _counts(counts)}


def _counts(counts: dict[IncidentState, int]) -> dict[str, int]:
    every = sum(counts.values())
    named = {str(state): count for state, count in counts.items()}
    return {**named, UNRESOLVED: every - counts[IncidentState.RESOLVED], ALL: every}


async def _every(page: Page) -> list[Incident]:
    """The incidents of a download, the newest first."""
    state, cursor = page.query["state"] or ALL, ""
    found: list[Incident] = []
    while len(found) < DOWNLOAD_MAX:
        wanted = "" if state == ALL else state
        part = await list_incidents(
            page.services, page.person, state=wanted, cursor=cursor, limit=INCIDENTS_PER_PAGE_MAX
        )
        found += part.incidents
        if part.next is None:
            break
        cursor = part.next
    return found[:DOWNLOAD_MAX]


def _cells(incident: Incident) -> list[object]:
    return [
        incident.id, incident.state, incident.severity, incident.agent_reference, incident.agent_name,
        incident.environment, incident.policy, incident.policy_name, incident.violations, incident.assignee_email,
        incident.opened_by, iso(incident.opened_at_us), iso(incident.first_seen_us), iso(incident.last_seen_us),
        iso(incident.resolved_at_us) if incident.resolved_at_us else "", incident.resolution,
    ]  # fmt: skip


def _download(content: bytes, media_type: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)


_READ, _EDIT, _AREA = Permission.INCIDENTS_READ, Permission.INCIDENTS_EDIT, "incidents"
_STEPS: dict[str, Callable[[Page], Awaitable[Response]]] = {
    "acknowledge": post_acknowledge,
    "assign": post_assign,
    "comment": post_comment,
    "contain": post_contain,
    "resolve": post_resolve,
    "reopen": post_reopen,
}
ROUTES = (
    PageRoute("GET", "/incidents", _READ, show_incidents, _AREA),
    PageRoute("GET", "/incidents.csv", _READ, download_csv, _AREA),
    PageRoute("GET", "/incidents.json", _READ, download_json, _AREA),
    PageRoute("GET", "/incidents/{incident}", _READ, show_incident, _AREA),
    PageRoute("GET", "/incidents/{incident}/evidence", Permission.AUDIT_READ, download_evidence, _AREA),
    *(PageRoute("POST", f"/incidents/{{incident}}/{name}", _EDIT, handler, _AREA) for name, handler in _STEPS.items()),
)
TOPICS = (Topic("incidents", _READ, refresh_incidents),)
