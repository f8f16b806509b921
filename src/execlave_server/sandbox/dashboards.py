"""`/api/v1/dashboard`: dashboards are stored and given back; nothing is drawn."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from aiohttp import web
from msgspec import Meta, Struct

from execlave_server.clock import Clock
from execlave_server.sandbox.api_requests import decode_as, read_body
from execlave_server.sandbox.json_answer import json_answer
from execlave_server.sandbox.limits import DASHBOARDS_MAX
from execlave_server.sandbox.refusals import ApiRefusedError
from execlave_server.sandbox.state import STATE

AUTHOR_HANDLE = "sandbox@localhost"
WIDGETS_MAX = 1_000  # of one dashboard, those inside groups included
GROUPS_DEPTH_MAX = 5  # Datadog has groups within tabs, no deeper
ID_PARTS = ((0, 3), (3, 6), (6, 9))  # an id such as eb9-ta5-d6g


class WidgetDefinition(Struct):
    """What every widget has."""

    type: str


class Widget(Struct):
    """One widget."""

    definition: WidgetDefinition


class DashboardBody(Struct):
    """What every dashboard has; the rest is kept as it came."""

    title: Annotated[str, Meta(min_length=1)]
    layout_type: Literal["ordered", "free"]
    widgets: Annotated[list[Widget], Meta(max_length=WIDGETS_MAX)]


async def create_dashboard(request: web.Request) -> web.Response:
    """200 and the dashboard with ids, author and dates."""
    state = request.app[STATE]
    body = await read_body(request)
    decode_as(body, DashboardBody)
    if len(state.dashboards) >= DASHBOARDS_MAX:
        raise ApiRefusedError(400, f"the sandbox holds {DASHBOARDS_MAX} dashboards: delete one")
    dashboard = describe(decode_as(body, dict[str, Any]), new_id(state.clock), show_now(state.clock))
    state.dashboards[dashboard["id"]] = dashboard
    return json_answer(dashboard)


async def replace_dashboard(request: web.Request) -> web.Response:
    """Another body under the same id."""
    state = request.app[STATE]
    there = find_dashboard(request)
    body = await read_body(request)
    decode_as(body, DashboardBody)
    dashboard = describe(decode_as(body, dict[str, Any]), there["id"], there["created_at"])
    dashboard["modified_at"] = show_now(state.clock)
    state.dashboards[there["id"]] = dashboard
    return json_answer(dashboard)


async def list_dashboards(request: web.Request) -> web.Response:
    """A line for each."""
    names = (
        "id",
        "title",
        "description",
        "layout_type",
        "url",
        "author_handle",
        "created_at",
        "modified_at",
        "is_read_only",
    )
    held = request.app[STATE].dashboards.values()
    return json_answer({"dashboards": [{name: dashboard[name] for name in names} for dashboard in held]})


async def show_dashboard(request: web.Request) -> web.Response:
    """One of them."""
    return json_answer(find_dashboard(request))


async def delete_dashboard(request: web.Request) -> web.Response:
    """200 and the id."""
    dashboard_id = find_dashboard(request)["id"]
    del request.app[STATE].dashboards[dashboard_id]
    return json_answer({"deleted_dashboard_id": dashboard_id})


def find_dashboard(request: web.Request) -> dict[str, Any]:
    """The dashboard in the path. Raises ApiRefusedError where there is none."""
    dashboard_id = request.match_info["id"]
    dashboard = request.app[STATE].dashboards.get(dashboard_id)
    if dashboard is None:
        raise ApiRefusedError(404, f"Dashboard with ID {dashboard_id} not found")
    return dashboard


def describe(body: dict[str, Any], dashboard_id: str, created_at: str) -> dict[str, Any]:
    """The body with what Datadog adds."""
    number_widgets(body["widgets"], int.from_bytes(dashboard_id.encode()[:5], "big"))
    slug = "-".join("".join(one if one.isalnum() else " " for one in body["title"].lower()).split())
    defaults: dict[str, Any] = {
        "description": None,
        "notify_list": [],
        "template_variables": [],
        "restricted_roles": [],
    }
    return {
        **defaults,
        **body,
        "id": dashboard_id,
        "url": f"/dashboard/{dashboard_id}/{slug}",
        "author_handle": AUTHOR_HANDLE,
        "author_name": "Sandbox",
        "is_read_only": False,
        "created_at": created_at,
        "modified_at": created_at,
    }


def number_widgets(widgets: list[Any], number: int, depth: int = 0) -> int:
    """Give each widget an id, also those inside a group; returns the last number."""
    if depth > GROUPS_DEPTH_MAX:
        raise ApiRefusedError(400, f"groups stand within groups more than {GROUPS_DEPTH_MAX} deep")
    for widget in widgets:
        number += 1
        if isinstance(widget, dict):
            widget["id"] = number
            definition = widget.get("definition")
            inner = definition.get("widgets") if isinstance(definition, dict) else None
            if isinstance(inner, list):
                number = number_widgets(inner, number, depth + 1)
    return number


def new_id(clock: Clock) -> str:
    """Such as eb9-ta5-d6g."""
    digits = clock.uuid().replace("-", "")
    return "-".join(digits[first:last] for first, last in ID_PARTS)


def show_now(clock: Clock) -> str:
    """ISO 8601 with an offset."""
    return datetime.fromtimestamp(clock.now_us() / 1_000_000, UTC).isoformat()
