"""What only an admin key may do: the kill switch and the integrations."""

from typing import Any

from msgspec import Raw, Struct
from starlette.responses import Response

from execlave_server.actions.configure_destination import (
    Wanted,
    add_destination,
    change_destination,
    disable_destination,
    enable_destination,
    get_destination,
    list_destinations,
)
from execlave_server.actions.govern_agent import set_agent_status
from execlave_server.actions.requeue_parked import ParkedLog, list_parked, requeue_parked
from execlave_server.actions.try_destination import try_destination
from execlave_server.api.agent_view import agent_view
from execlave_server.api.codec import data, decode, page, whole_number
from execlave_server.api.exchange import Exchange
from execlave_server.api.times import iso
from execlave_server.errors import ValidationFailedError
from execlave_server.model.agents import AgentStatus
from execlave_server.model.destinations import Destination
from execlave_server.model.secret import Secret

KIND = "datadog_logs"
PARKED_PER_PAGE_MAX = 1_000


class _StatusBody(Struct, forbid_unknown_fields=True):
    reason: str | None = None


class _RequeueBody(Struct, forbid_unknown_fields=True):
    ids: list[int]


class _DestinationBody(Struct, rename="camel", forbid_unknown_fields=True):
    kind: str = KIND
    name: str | None = None
    site: str | None = None
    api_key: str | None = None
    service: str | None = None
    ddtags: str | None = None
    heartbeat: bool | None = None
    events: bool | None = None

    def wanted(self) -> Wanted:
        if self.kind != KIND:
            raise ValidationFailedError(
                f"{self.kind!r} is no kind of integration here; there is {KIND!r}.", fields={"kind": "is not known"}
            )
        key = None if self.api_key is None else Secret(self.api_key)
        return Wanted(self.name, self.site, key, self.service, self.ddtags, self.heartbeat, self.events)


async def pause_agent(exchange: Exchange) -> Response:
    """Stop an agent: from now on each of its actions is refused."""
    return await _set_status(exchange, AgentStatus.PAUSED)


async def resume_agent(exchange: Exchange) -> Response:
    """Let a stopped agent act again."""
    return await _set_status(exchange, AgentStatus.ACTIVE)


async def post_integration(exchange: Exchange) -> Response:
    """Add a destination, as a draft."""
    wanted = decode(exchange.body, _DestinationBody).wanted()
    caller = exchange.caller
    destination = await add_destination(
        exchange.services, caller.organization_id, caller.organization, wanted, actor=exchange.caller.actor
    )
    return data(destination_view(destination), 201)


async def get_integrations(exchange: Exchange) -> Response:
    """Every destination."""
    destinations = await list_destinations(exchange.services, exchange.caller.organization)
    return page([destination_view(destination) for destination in destinations], len(destinations))


async def get_integration(exchange: Exchange) -> Response:
    """One destination."""
    found = await get_destination(exchange.services, exchange.caller.organization, exchange.path("id"))
    return data(destination_view(found))


async def patch_integration(exchange: Exchange) -> Response:
    """Change a destination."""
    wanted = decode(exchange.body, _DestinationBody).wanted()
    changed = await change_destination(
        exchange.services, exchange.caller.organization, exchange.path("id"), wanted, actor=exchange.caller.actor
    )
    return data(destination_view(changed))


async def post_integration_test(exchange: Exchange) -> Response:
    """Test connection: 200 with `passed` either way, since the test itself was done."""
    destination, report = await try_destination(
        exchange.services, exchange.caller.organization, exchange.path("id"), actor=exchange.caller.actor
    )
    return data({"passed": report.passed, "steps": report.steps, "destination": destination_view(destination)})


async def post_integration_enable(exchange: Exchange) -> Response:
    """Start delivering to a destination whose connection has passed."""
    enabled = await enable_destination(
        exchange.services, exchange.caller.organization, exchange.path("id"), actor=exchange.caller.actor
    )
    return data(destination_view(enabled))


async def post_integration_disable(exchange: Exchange) -> Response:
    """Stop queueing for a destination."""
    disabled = await disable_destination(
        exchange.services, exchange.caller.organization, exchange.path("id"), actor=exchange.caller.actor
    )
    return data(destination_view(disabled))


async def get_parked(exchange: Exchange) -> Response:
    """Logs that a destination refused for good, oldest first, each with the answer and what was sent."""
    query = exchange.request.query_params
    parked = await list_parked(
        exchange.services,
        exchange.caller.organization,
        destination_id=query.get("destination"),
        after=whole_number(query.get("after", "0"), "after", 1 << 62),
        limit=whole_number(query.get("limit", "100"), "limit", PARKED_PER_PAGE_MAX),
    )
    return data([parked_view(each) for each in parked])


async def post_requeue(exchange: Exchange) -> Response:
    """Make parked logs wait for delivery again."""
    body = decode(exchange.body, _RequeueBody)
    done = await requeue_parked(exchange.services, exchange.caller.organization, body.ids)
    return data({"requeued": done})


def parked_view(parked: ParkedLog) -> dict[str, Any]:
    """A parked log as the API and the command line show it."""
    return {
        "id": parked.id,
        "destination": parked.destination_id,
        "reason": parked.reason,
        "status": parked.status,
        "answer": parked.answer,
        "parkedAt": iso(parked.parked_at_us),
        "log": Raw(parked.payload),
    }


def destination_view(destination: Destination) -> dict[str, Any]:
    """A destination as the API and the command line show it. Of its key only the last four characters."""
    candidate = destination.candidate
    return {
        "id": destination.id,
        "kind": KIND,
        "name": destination.name,
        "state": destination.state,
        "stateReason": destination.state_reason,
        "site": destination.site,
        "apiKeyLastFour": destination.key_hint,
        "service": destination.service,
        "ddtags": destination.ddtags,
        "heartbeat": destination.heartbeat,
        "events": destination.events,
        "testedAt": iso(destination.tested_at_us),
        "candidate": {"site": candidate.site, "apiKeyLastFour": candidate.key_hint} if candidate else None,
        "gap": {"from": iso(destination.gap[0]), "to": iso(destination.gap[1])} if destination.gap else None,
        "createdAt": iso(destination.created_at_us),
        "updatedAt": iso(destination.updated_at_us),
    }


async def _set_status(exchange: Exchange, status: AgentStatus) -> Response:
    body = decode(exchange.body or b"{}", _StatusBody)
    agent = await set_agent_status(exchange.services, exchange.caller, exchange.path("agent"), status, body.reason)
    return data(agent_view(agent))
