"""Incidents over HTTP: the list, one with its timeline, the steps, and the evidence bundle."""

from typing import Annotated, Any

from msgspec import Meta, Struct
from starlette.responses import Response

from execlave_server.actions.export_incident import export_incident
from execlave_server.actions.handle_incident import (
    acknowledge_incident,
    assign_incident,
    comment_incident,
    contain_incident,
    open_incident,
    reopen_incident,
    resolve_incident,
)
from execlave_server.actions.read_incidents import (
    INCIDENTS_PER_PAGE_MAX,
    IncidentFile,
    count_incidents,
    list_incidents,
    read_incident,
)
from execlave_server.api.codec import answer, data, decode, whole_number
from execlave_server.api.exchange import Exchange
from execlave_server.api.times import iso
from execlave_server.model.incidents import Incident, Severity
from execlave_server.model.traces import ID_CHARS_MAX


class _OpenBody(Struct, rename="camel", forbid_unknown_fields=True):
    trace_id: Annotated[str, Meta(min_length=1, max_length=ID_CHARS_MAX)]
    severity: Severity | None = None
    reason: str = ""


class _AssignBody(Struct, forbid_unknown_fields=True):
    assignee: str | None


class _CommentBody(Struct, forbid_unknown_fields=True):
    text: str


class _ReasonBody(Struct, forbid_unknown_fields=True):
    reason: str


async def get_incidents(exchange: Exchange) -> Response:
    """A page of incidents, the newest first, and how many there are in each state."""
    query, services, caller = exchange.request.query_params, exchange.services, exchange.caller
    limit = max(1, whole_number(query.get("limit", "50"), "limit", INCIDENTS_PER_PAGE_MAX))
    page = await list_incidents(
        services, caller, state=query.get("state", ""), cursor=query.get("cursor", ""), limit=limit
    )
    meta = {"next": page.next, "counts": await count_incidents(services, caller)}
    return answer({"data": [incident_view(incident) for incident in page.incidents], "meta": meta})


async def post_incident(exchange: Exchange) -> Response:
    """Open an incident on a trace."""
    body = decode(exchange.body, _OpenBody)
    incident = await open_incident(
        exchange.services, exchange.caller, body.trace_id, severity=body.severity, reason=body.reason
    )
    return data(incident_view(incident), 201)


async def get_incident(exchange: Exchange) -> Response:
    """An incident with its timeline and traces."""
    return data(file_view(await read_incident(exchange.services, exchange.caller, exchange.path("id"))))


async def get_incident_evidence(exchange: Exchange) -> Response:
    """The evidence bundle of an incident."""
    bundle = await export_incident(exchange.services, exchange.caller, exchange.path("id"))
    return Response(bundle, media_type="application/json")


async def post_acknowledge(exchange: Exchange) -> Response:
    """Somebody is on it."""
    return data(incident_view(await acknowledge_incident(exchange.services, exchange.caller, exchange.path("id"))))


async def post_assign(exchange: Exchange) -> Response:
    """Give it to a person, or to nobody."""
    assignee = decode(exchange.body, _AssignBody).assignee
    incident = await assign_incident(exchange.services, exchange.caller, exchange.path("id"), assignee)
    return data(incident_view(incident))


async def post_comment(exchange: Exchange) -> Response:
    """Add a remark."""
    text = decode(exchange.body, _CommentBody).text
    return data(incident_view(await comment_incident(exchange.services, exchange.caller, exchange.path("id"), text)))


async def post_contain(exchange: Exchange) -> Response:
    """Pause the agent."""
    return data(incident_view(await contain_incident(exchange.services, exchange.caller, *_reasoned(exchange))))


async def post_resolve(exchange: Exchange) -> Response:
    """Close it, saying why."""
    return data(incident_view(await resolve_incident(exchange.services, exchange.caller, *_reasoned(exchange))))


async def post_reopen(exchange: Exchange) -> Response:
    """Take it up again, saying why."""
    return data(incident_view(await reopen_incident(exchange.services, exchange.caller, *_reasoned(exchange))))


def _reasoned(exchange: Exchange) -> tuple[str, str]:
    return exchange.path("id"), decode(exchange.body, _ReasonBody).reason


def incident_view(incident: Incident) -> dict[str, Any]:
    """An incident as lists show it."""
    assignee = {"id": incident.assignee, "name": incident.assignee_name, "email": incident.assignee_email}
    return {
        "id": incident.id,
        "state": incident.state,
        "severity": incident.severity,
        "agentId": incident.agent_reference,
        "agentName": incident.agent_name,
        "agent": incident.agent,
        "environment": incident.environment or None,
        "policyId": incident.policy or None,
        "policyName": incident.policy_name or None,
        "violations": incident.violations,
        "assignee": assignee if incident.assignee else None,
        "openedBy": incident.opened_by,
        "openedAt": iso(incident.opened_at_us),
        "firstSeenAt": iso(incident.first_seen_us),
        "lastSeenAt": iso(incident.last_seen_us),
        "resolvedAt": iso(incident.resolved_at_us),
        "resolution": incident.resolution,
    }


def file_view(file: IncidentFile) -> dict[str, Any]:
    """An incident with everything about it."""
    return {
        **incident_view(file.incident),
        "timeline": [
            {
                "number": step.number,
                "kind": step.kind,
                "at": iso(step.at_us),
                "actor": step.actor,
                "text": step.text,
                "violations": step.violations,
                "assignee": step.assignee,
            }
            for step in file.steps
        ],
        "traces": [
            {
                "traceId": each.trace_id,
                "spanId": each.span_id,
                "status": each.status,
                "receivedAt": iso(each.received_at_us),
            }
            for each in file.traces
        ],
    }
