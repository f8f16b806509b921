"""Settings, Integrations: add a Datadog Logs destination, test it, enable it, and see how it does."""

from typing import Any

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
from execlave_server.actions.read_activity import hours_until
from execlave_server.actions.read_delivery_history import (
    DeliveredHour,
    DeliveryQueue,
    read_answers,
    read_delivered_hours,
    read_queues,
)
from execlave_server.actions.try_destination import try_destination
from execlave_server.datadog.preprocess import remap_status
from execlave_server.datadog.sites import SANDBOX_SITE, Site
from execlave_server.datadog.try_connection import ConnectionReport
from execlave_server.errors import ConflictError, ExeclaveServerError, ValidationFailedError
from execlave_server.model.destinations import Destination
from execlave_server.model.permissions import Permission
from execlave_server.model.secret import Secret
from execlave_server.model.traces import TraceStatus
from execlave_server.web.charts import Series, bar_chart
from execlave_server.web.exchange import Page, PageRoute
from execlave_server.web.integrations import past
from execlave_server.web.integrations.paths import LIST, path_of
from execlave_server.web.live import Topic

HOURS_SHOWN = 24
ANSWERS_SHOWN = 10


async def show_list(page: Page) -> Response:
    """Every destination and how it does."""
    organization = page.organization.number
    destinations = await list_destinations(page.services, organization)
    queues = await read_queues(page.services, organization)
    return page.render("integrations/list.html", tab="integrations", destinations=destinations, queues=queues)


async def show_new(page: Page) -> Response:
    """The form of a new destination."""
    return _show_form(page, 200)


async def post_new(page: Page) -> Response:
    """Add a destination, as a draft, and test its connection at once."""
    wanted = Wanted(
        name=page.form["name"] or None,
        site=page.form["site"],
        api_key=Secret(page.form.raw("apiKey")),
        service=page.form["service"],
        ddtags=page.form["ddtags"],
        heartbeat="heartbeat" in page.form,
        events="events" in page.form,
    )
    organization = page.organization
    try:
        added = await add_destination(
            page.services, organization.id, organization.number, wanted, actor=page.person.actor
        )
    except (ValidationFailedError, ConflictError) as error:
        return _show_form(page, error.status, error)
    tried, report = await try_destination(page.services, organization.number, added.id, actor=page.person.actor)
    return await _show(page, tried, report=report)


async def show_destination(page: Page) -> Response:
    """One destination: what to do next, its live state, its settings."""
    return await _show(page, await _destination(page))


async def fragment_state(page: Page) -> str:
    """How a destination does now, for the page that follows it."""
    destination = await get_destination(page.services, page.organization.number, page.query["id"])
    return page.fragment("integrations/_state.html", **await _state(page, destination))


async def post_test(page: Page) -> Response:
    """Test connection: both steps and, where one fails, what to do."""
    tried, report = await try_destination(
        page.services, page.organization.number, page.path("id"), actor=page.person.actor
    )
    return await _show(page, tried, report=report)


async def post_enable(page: Page) -> Response:
    """Deliver from now on; only where the connection has passed its test."""
    try:
        enabled = await enable_destination(
            page.services, page.organization.number, page.path("id"), actor=page.person.actor
        )
    except ConflictError as error:
        return await _show(page, await _destination(page), problem=error)
    return page.redirect(path_of(enabled.id), "Enabled. Every trace committed from now on is delivered.")


async def post_disable(page: Page) -> Response:
    """Queue nothing more for it."""
    disabled = await disable_destination(
        page.services, page.organization.number, page.path("id"), actor=page.person.actor
    )
    return page.redirect(path_of(disabled.id), "Disabled. What is committed meanwhile can be backfilled afterwards.")


async def post_edit(page: Page) -> Response:
    """Name, service, tags and heartbeat hold at once; a new site takes over when it has passed its test."""
    before = await _destination(page)
    site = page.form["site"]
    wanted = Wanted(
        name=page.form["name"],
        site=None if site in {"", before.site} else site,
        service=page.form["service"],
        ddtags=page.form["ddtags"],
        heartbeat="heartbeat" in page.form,
        events="events" in page.form,
    )
    try:
        changed = await change_destination(
            page.services, page.organization.number, before.id, wanted, actor=page.person.actor
        )
    except (ValidationFailedError, ConflictError) as error:
        return await _show(page, before, problem=error)
    return page.redirect(path_of(changed.id), "Saved." if wanted.site is None else "Saved. Test the new site now.")


async def post_rotate(page: Page) -> Response:
    """A new API key: the old one serves until the new one has passed both steps of the test."""
    destination = await _destination(page)
    try:
        await change_destination(
            page.services,
            page.organization.number,
            destination.id,
            Wanted(api_key=Secret(page.form.raw("apiKey"))),
            actor=page.person.actor,
        )
    except (ValidationFailedError, ConflictError) as error:
        return await _show(page, destination, problem=error)
    tried, report = await try_destination(
        page.services, page.organization.number, destination.id, actor=page.person.actor
    )
    return await _show(page, tried, report=report)


async def show_guide(page: Page) -> Response:
    """What to set up in Datadog: pipeline, facets, measures, monitors."""
    return page.render("integrations/guide.html", tab="integrations", severities=_severities())


async def _destination(page: Page) -> Destination:
    return await get_destination(page.services, page.organization.number, page.path("id"))


async def _show(
    page: Page,
    destination: Destination,
    *,
    report: ConnectionReport | None = None,
    problem: ExeclaveServerError | None = None,
) -> Response:
    return page.render(
        "integrations/destination.html",
        problem.status if problem else 200,
        tab="integrations",
        report=report,
        severities=_severities(),
        sites=_sites(page),
        problem=problem.message if problem else None,
        errors=problem.fields if isinstance(problem, ValidationFailedError) else {},
        **await _state(page, destination),
    )


async def _state(page: Page, destination: Destination) -> dict[str, Any]:
    organization = page.organization.number
    hours = hours_until(page.now_us, HOURS_SHOWN)
    delivered = await read_delivered_hours(page.services, organization, destination.id, hours)
    queues = await read_queues(page.services, organization)
    return {
        "destination": destination,
        "queue": queues.get(destination.id) or DeliveryQueue(destination.id, 0, None, 0),
        "delivered": sum(each.delivered for each in delivered),
        "late": sum(each.late for each in delivered),
        "chart": _chart(hours, delivered),
        "answers": await read_answers(page.services, organization, destination.id, limit=ANSWERS_SHOWN),
    }


def _chart(hours: list[int], delivered: list[DeliveredHour]) -> str:
    labels = [f"{at_us // 3_600_000_000 % 24:02}:00" for at_us in hours]
    series = [
        Series("delivered", [each.delivered for each in delivered], "good"),
        Series("waiting", [each.waiting for each in delivered], "warn"),
        Series("parked", [each.parked for each in delivered], "bad"),
    ]
    return bar_chart("Logs of the last 24 hours, by the hour they were committed in (UTC)", labels, series)


def _show_form(page: Page, status: int, error: ExeclaveServerError | None = None) -> Response:
    return page.render(
        "integrations/new.html",
        status,
        tab="integrations",
        sites=_sites(page),
        problem=error.message if error else None,
        errors=error.fields if isinstance(error, ValidationFailedError) else {},
    )


def _sites(page: Page) -> list[tuple[str, str]]:
    known = [(site.value, site.name.replace("_", "-")) for site in Site]
    return [*known, (SANDBOX_SITE, "the local sandbox")] if page.services.settings.datadog_sandbox_url else known


def _severities() -> list[tuple[str, str]]:
    """What Datadog makes of each status where no pipeline says otherwise."""
    return [(status.value, remap_status(status.value).value) for status in TraceStatus]


_READ, _EDIT = Permission.DESTINATIONS_READ, Permission.DESTINATIONS_EDIT
ROUTES = (
    PageRoute("GET", LIST, _READ, show_list, "settings"),
    PageRoute("GET", f"{LIST}/new", _EDIT, show_new, "settings"),
    PageRoute("POST", f"{LIST}/new", _EDIT, post_new, "settings"),
    PageRoute("GET", f"{LIST}/guide", _READ, show_guide, "settings"),
    PageRoute("GET", f"{LIST}/{{id}}", _READ, show_destination, "settings"),
    PageRoute("POST", f"{LIST}/{{id}}/test", _EDIT, post_test, "settings"),
    PageRoute("POST", f"{LIST}/{{id}}/enable", _EDIT, post_enable, "settings"),
    PageRoute("POST", f"{LIST}/{{id}}/disable", _EDIT, post_disable, "settings"),
    PageRoute("POST", f"{LIST}/{{id}}/edit", _EDIT, post_edit, "settings"),
    PageRoute("POST", f"{LIST}/{{id}}/rotate", _EDIT, post_rotate, "settings"),
    *past.ROUTES,
)
TOPICS = (Topic("destination", _READ, fragment_state),)
