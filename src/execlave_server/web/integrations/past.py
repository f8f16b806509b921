"""What a destination refused, and what it never got: parked logs and backfill."""

from datetime import UTC, datetime
from urllib.parse import urlencode

from starlette.responses import Response

from execlave_server.actions.configure_destination import get_destination
from execlave_server.actions.requeue_parked import list_parked, requeue_parked
from execlave_server.actions.send_again import Past, PastSpan, close_gap, gap_span, send_past_step
from execlave_server.errors import ConflictError, ValidationFailedError
from execlave_server.model.permissions import Permission
from execlave_server.web.exchange import Form, Page, PageRoute
from execlave_server.web.integrations.paths import LIST, path_of

PARKED_SHOWN = 50
REQUEUED_AT_ONCE_MAX = 1_000  # a log is a transaction of its own: some seconds
STEPS_PER_FORM_US = 1_500_000  # then the page shows how far it is, and goes on
CURSOR_MAX = 1 << 62


async def show_parked(page: Page) -> Response:
    """The logs that a destination refused for good, each with the answer and what was sent."""
    destination = await get_destination(page.services, page.organization.number, page.path("id"))
    parked = await list_parked(
        page.services,
        page.organization.number,
        destination_id=destination.id,
        after=_number(page.query, "after"),
        limit=PARKED_SHOWN + 1,
    )
    shown = parked[:PARKED_SHOWN]
    older = f"?after={shown[-1].id}" if len(parked) > PARKED_SHOWN else None
    return page.render(
        "integrations/parked.html", tab="integrations", destination=destination, parked=shown, older=older
    )


async def post_requeue(page: Page) -> Response:
    """Make one parked log wait again, or all of this destination, the oldest thousand at once."""
    destination = await get_destination(page.services, page.organization.number, page.path("id"))
    organization = page.organization.number
    if page.form["log"]:
        ids = [_number(page.form, "log")]
    else:
        every = await list_parked(
            page.services, organization, destination_id=destination.id, after=0, limit=REQUEUED_AT_ONCE_MAX
        )
        ids = [each.id for each in every]
    done = await requeue_parked(page.services, organization, ids)
    said = "1 log waits" if done == 1 else f"{done:,} logs wait"
    return page.redirect(f"{path_of(destination.id)}/parked", f"{said} for delivery again.")


async def show_backfill(page: Page) -> Response:
    """Which time to fill, and how far a backfill is that goes on."""
    destination = await get_destination(page.services, page.organization.number, page.path("id"))
    progress = None
    if page.query["of"]:
        progress = {name: _number(page.query, name) for name in ("next", "of", "queued")}
    return page.render(
        "integrations/backfill.html",
        tab="integrations",
        destination=destination,
        progress=progress,
        values=page.query,
    )


async def post_backfill(page: Page) -> Response:
    """Queue what the destination never got of a time, as far as a second or two go; then the page goes on."""
    destination_id, organization = page.path("id"), page.organization.number
    destination = await get_destination(page.services, organization, destination_id)
    fills_gap = "gap" in page.form
    try:
        span = await gap_span(page.services, organization, destination_id) if fills_gap else _span(page)
        next_batch: int | None = _number(page.form, "next")
        queued, until_us = _number(page.form, "queued"), page.services.clock.elapsed_us() + STEPS_PER_FORM_US
        while next_batch is not None:
            step = await send_past_step(page.services, organization, destination_id, span, after=next_batch)
            queued, next_batch = queued + step.queued, step.next
            if page.services.clock.elapsed_us() > until_us:
                break
    except (ConflictError, ValidationFailedError) as error:
        errors = error.fields if isinstance(error, ValidationFailedError) else {}
        return page.render(
            "integrations/backfill.html",
            error.status,
            tab="integrations",
            destination=destination,
            progress=None,
            problem=error.message,
            errors=errors,
        )
    if next_batch is None:
        if fills_gap:
            await close_gap(page.services, organization, destination_id)
        said = "1 batch is" if queued == 1 else f"{queued:,} batches are"
        return page.redirect(
            path_of(destination_id), f"{said} queued. A batch that was delivered before is not sent twice."
        )
    how_far = {"next": next_batch, "of": step.of, "queued": queued}
    kept = {name: page.form[name] for name in ("from", "to", "gap") if name in page.form}
    return page.redirect(f"{path_of(destination_id)}/backfill?{urlencode({**kept, **how_far})}")


def _span(page: Page) -> PastSpan:
    errors: dict[str, str] = {}
    times: dict[str, int] = {}
    for name in ("from", "to"):
        try:
            at = datetime.fromisoformat(page.form[name])
        except ValueError:
            errors[name] = "Give a date and a time (UTC), like 2026-01-31T14:00."
            continue
        aware = at if at.tzinfo else at.replace(tzinfo=UTC)
        times[name] = int(aware.timestamp() * 1_000_000)
    if errors:
        raise ValidationFailedError("Say from when to when.", fields=errors)
    return PastSpan(Past.BACKFILL, times["from"], times["to"])


def _number(fields: Form, name: str) -> int:
    text = fields[name] or "0"
    if not text.isascii() or not text.isdigit() or int(text) > CURSOR_MAX:
        raise ValidationFailedError(
            f"{name!r} is no number that a page of ours has written.", fields={name: "is wrong"}
        )
    return int(text)


_READ, _DO = Permission.DELIVERIES_READ, Permission.DELIVERIES_REQUEUE
ROUTES = (
    PageRoute("GET", f"{LIST}/{{id}}/parked", _READ, show_parked, "settings"),
    PageRoute("POST", f"{LIST}/{{id}}/requeue", _DO, post_requeue, "settings"),
    PageRoute("GET", f"{LIST}/{{id}}/backfill", _DO, show_backfill, "settings"),
    PageRoute("POST", f"{LIST}/{{id}}/backfill", _DO, post_backfill, "settings"),
)
