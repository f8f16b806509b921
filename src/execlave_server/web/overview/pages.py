"""The overview: traffic, violations, spend, latency and delivery of the last day, and what waits for somebody."""

from typing import Any

from starlette.responses import Response

from execlave_server.actions.configure_destination import list_destinations
from execlave_server.actions.read_activity import (
    HOUR_US,
    count_agents_by_status,
    count_waiting_approvals,
    hours_until,
    read_latency,
    read_spend_by_day,
    read_spend_by_hour,
    read_spend_this_month,
    read_traffic,
)
from execlave_server.actions.read_delivery_history import read_queues
from execlave_server.model.agents import AgentStatus
from execlave_server.web.charts import Series, bar_chart
from execlave_server.web.exchange import Access, Page, PageRoute
from execlave_server.web.live import Topic
from execlave_server.web.render import usd

HOURS_SHOWN = 24


async def show_overview(page: Page) -> Response:
    """The last 24 hours."""
    return page.render("overview/overview.html", **await _now(page))


async def fragment_now(page: Page) -> str:
    """The same, for a page that follows it."""
    return page.fragment("overview/_now.html", **await _now(page))


async def _now(page: Page) -> dict[str, Any]:
    services, organization = page.services, page.organization.number
    hours = hours_until(page.now_us, HOURS_SHOWN)
    labels = [f"{at_us // HOUR_US % 24:02}:00" for at_us in hours]
    traffic = await read_traffic(services, organization, hours)
    of_traffic = [
        Series("other", [each.others for each in traffic], "quiet"),
        Series("errors", [each.errors for each in traffic], "warn"),
        Series("violations", [each.violations for each in traffic], "bad"),
    ]
    spend = await read_spend_by_hour(services, organization, HOURS_SHOWN)
    agents = await count_agents_by_status(services, organization)
    return {
        "traces": sum(each.traces for each in traffic),
        "errors_seen": sum(each.errors for each in traffic),
        "violations": sum(each.violations for each in traffic),
        "traffic": bar_chart("Traces by the hour (UTC)", labels, of_traffic),
        "spend": bar_chart("Spend by the hour (UTC)", labels, [Series("spend", spend)], figure=_dollars),
        "today": (await read_spend_by_day(services, organization, 1))[0],
        "month": await read_spend_this_month(services, organization),
        "latency": await read_latency(services, organization, hours[0]),
        "agents": agents,
        "active": agents.get(AgentStatus.ACTIVE, 0),
        "paused": agents.get(AgentStatus.PAUSED, 0),
        "approvals": await count_waiting_approvals(services, organization),
        "destinations": await list_destinations(services, organization),
        "queues": await read_queues(services, organization),
    }


def _dollars(nano_usd: float) -> str:
    return usd(round(nano_usd))


ROUTES = (PageRoute("GET", "/overview", Access.SIGNED_IN, show_overview, "overview"),)
TOPICS = (Topic("overview", Access.SIGNED_IN, fragment_now),)
