"""The page of one trace: what `execlave.trace_url` in a log leads to."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.responses import Response

from execlave_server.actions.check_trace_evidence import check_trace_evidence
from execlave_server.actions.configure_destination import list_destinations
from execlave_server.actions.export_evidence import export_evidence
from execlave_server.actions.handle_incident import open_incident
from execlave_server.actions.read_incidents import incidents_of_trace
from execlave_server.actions.read_timeline import Timeline, read_timeline
from execlave_server.actions.read_trace_decisions import read_trace_decisions
from execlave_server.actions.read_trace_deliveries import SpanDelivery, read_trace_deliveries
from execlave_server.actions.resolve_trace import Basis, Resolution, ResolvedStatus, list_resolutions, resolve_trace
from execlave_server.actions.show_content import SpanContent, note_content_read, show_content
from execlave_server.errors import ConflictError, ValidationFailedError
from execlave_server.model.incidents import Severity
from execlave_server.web.exchange import Page
from execlave_server.web.traces.addresses import areas_of, trace_path
from execlave_server.web.traces.datadog_links import datadog_links
from execlave_server.web.traces.texts import parts_of
from execlave_server.web.traces.waterfall import draw_waterfall, name_of

DELIVERIES_SHOWN_MAX = 50  # rows of one page; the API has them all
DETAIL_CHARS_MAX = 4_000


async def show_trace(page: Page) -> Response:
    """The page. `span` in the address is the span that the link was about."""
    return await _show(page)


async def show_trace_content(page: Page) -> Response:
    """The page with what the spans were given and answered; it is on record before it is shown."""
    timeline = await read_timeline(page.services, page.person, page.path("trace"))
    content = await show_content(page.services, page.person, timeline.trace_id, timeline.spans)
    return await _show(page, timeline=timeline, content=content)


async def show_evidence(page: Page) -> Response:
    """The evidence file, as a download."""
    trace_id = page.path("trace")
    evidence = await export_evidence(page.services, page.organization, trace_id)
    await note_content_read(page.services, page.person, [trace_id])
    name = quote(f"evidence-{trace_id[:80]}.json", safe="")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
    return Response(evidence, media_type="application/json", headers=headers)


async def post_incident(page: Page) -> Response:
    """Open an incident on the trace, and go there."""
    said = page.form["severity"]
    try:
        severity = Severity(said) if said else None
        incident = await open_incident(
            page.services, page.person, page.path("trace"), severity=severity, reason=page.form["reason"]
        )
    except ValidationFailedError as error:
        return await _show(page, 400, problem=error.message, errors=error.fields)
    except ConflictError as error:
        return await _show(page, 409, problem=error.message)
    except ValueError:
        return await _show(page, 400, problem="There is no such severity. Choose one of the list.")
    return page.redirect(f"/incidents/{incident.id}", "The incident is open.")


async def post_resolution(page: Page) -> Response:
    """Note what the effect of the trace turned out to be."""
    form, now_us = page.form, page.now_us
    await read_timeline(page.services, page.person, page.path("trace"))  # people resolve what they see
    try:
        status, basis = ResolvedStatus(form["resolved_status"]), Basis(form["basis"])
    except ValueError:
        return await _show(page, 400, problem="Choose a status and how it became known.")
    if len(form["detail"]) > DETAIL_CHARS_MAX:
        reason = f"must have at most {DETAIL_CHARS_MAX:,} characters"
        return await _show(page, 400, problem=f"The detail {reason}.", errors={"detail": reason})
    resolution = Resolution(
        id=page.services.clock.uuid(),
        trace_id=page.path("trace"),
        resolved_status=status,
        basis=basis,
        effect_ref=None,
        acknowledgement_id=None,
        detail=form["detail"] or None,
        observed_at_us=now_us,
        recorded_at_us=now_us,
    )
    try:
        await resolve_trace(page.services, page.person, resolution)
    except ConflictError as error:
        return await _show(page, 409, problem=error.message)
    return page.redirect(trace_path(page.path("trace")), "The resolution is recorded.")


async def _show(
    page: Page,
    status: int = 200,
    *,
    timeline: Timeline | None = None,
    content: list[SpanContent] | None = None,
    problem: str | None = None,
    errors: Mapping[str, str] | None = None,
) -> Response:
    services, person, trace_id = page.services, page.person, page.path("trace")
    if timeline is None:
        timeline = await read_timeline(services, person, trace_id)
    decisions = await read_trace_decisions(services, person, timeline)
    evidence = await check_trace_evidence(services, person, timeline.own, [each.stored for each in decisions])
    deliveries = await read_trace_deliveries(services, person.organization_id, person.organization, trace_id)
    destinations = await list_destinations(services, person.organization)
    waterfall, grouped = draw_waterfall(timeline), _grouped(deliveries)
    begin_ms = min(span.started_at_ms for span in timeline.spans)
    return page.render(
        "traces/show.html",
        status,
        problem=problem,
        errors=errors or {},
        trace_id=trace_id,
        here=page.query["span"],
        timeline=timeline,
        root=timeline.root,
        totals=_totals(timeline),
        waterfall=waterfall,
        decisions=decisions,
        evidence=evidence,
        deliveries=grouped[:DELIVERIES_SHOWN_MAX],
        more_deliveries=max(0, len(grouped) - DELIVERIES_SHOWN_MAX),
        flagged=[span for span in timeline.own if span.log.execlave.policy_ids],
        resolutions=await list_resolutions(services, person, trace_id),
        incidents=await incidents_of_trace(services, person, trace_id),
        links=datadog_links(services, destinations, trace_id, begin_ms, begin_ms + int(waterfall.total_ms)),
        content=_content(timeline, content),
        areas=areas_of(page),
        severities=[("", "As the policy says"), *_options(Severity)],
        resolved_statuses=_options(ResolvedStatus),
        bases=_options(Basis),
        trace_path=trace_path,
        tools_of=_tools_of,
    )


def _grouped(deliveries: Iterable[SpanDelivery]) -> list[tuple[SpanDelivery, list[str]]]:
    """Deliveries that went alike, in one batch to one destination, with the spans they carried."""
    groups: dict[object, tuple[SpanDelivery, list[str]]] = {}
    for each in deliveries:
        if each.state is not None:
            alike = (each.destination_id, each.batch, each.state, each.parked_id)
            groups.setdefault(alike, (each, []))[1].append(each.span_id)
    return list(groups.values())


def _totals(timeline: Timeline) -> dict[str, float | None]:
    """Cost in billionths of a dollar and tokens of the trace's own spans; None where none says any."""
    costs = [span.log.cost_usd for span in timeline.own if span.log.cost_usd is not None]
    tokens = [span.log.total_tokens for span in timeline.own if span.log.total_tokens is not None]
    return {"nano_usd": round(sum(costs) * 1e9) if costs else None, "tokens": sum(tokens) if tokens else None}


def _content(timeline: Timeline, content: list[SpanContent] | None) -> dict[str, Any] | None:
    """What is shown of the content: the spans that said something, and how many are not shown."""
    if content is None:
        return None
    names = {span.id: name_of(span) for span in timeline.spans}
    shown = [(names[each.row], each.span_id, parts) for each in content if (parts := parts_of(each))]
    return {"spans": shown, "left_out": len(timeline.spans) - len(content)}


def _options(words: Iterable[str]) -> list[tuple[str, str]]:
    """The choices of a form's list."""
    return [(str(word), str(word).replace("_", " ").capitalize()) for word in words]


def _tools_of(tools: str) -> list[str]:
    """The tools of an approval, which are stored as JSON."""
    try:
        return msgspec.json.decode(tools, type=list[str])
    except msgspec.MsgspecError:
        return []
