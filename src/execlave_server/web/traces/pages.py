"""The list of traces, and what leads away from it."""

from typing import Any

from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response

from execlave_server.actions.read_traces import ListedTrace, TracePage, read_traces
from execlave_server.errors import SearchSyntaxError, ValidationFailedError
from execlave_server.model.permissions import Permission
from execlave_server.model.traces import TraceStatus
from execlave_server.web.csv_cells import csv_text
from execlave_server.web.exchange import Page, PageRoute
from execlave_server.web.live import Topic
from execlave_server.web.render import iso
from execlave_server.web.traces.addresses import trace_path
from execlave_server.web.traces.filters import PERIODS, Asked, read_filter
from execlave_server.web.traces.trace import (
    post_incident,
    post_resolution,
    show_evidence,
    show_trace,
    show_trace_content,
)

CSV_TRACES_MAX = 10_000  # of one download: a spreadsheet's worth, some 2 s of reading
CSV_PER_PAGE = 200
CSV_PAGES_MAX = 100  # also where most pages come back short
_COLUMNS = (
    "received_at", "timestamp", "trace_id", "span_id", "agent_id", "agent_name", "environment", "span_type",
    "span_name", "status", "duration_ms", "cost_usd", "total_tokens", "error_type", "decision_id", "policy_ids",
)  # fmt: skip

_EXAMPLES = (
    ("policy_blocked", "a word of the message"),
    ("*:refund*", "a word in any attribute, with a wildcard"),
    ('@agent_name:"Billing Bot"', "an attribute, whole and as written"),
    ("@execlave.status:(policy_blocked OR limit_exceeded)", "one of several"),
    ("@duration_ms:>1000 -@status:success", "a number compared, and what is not"),
    ("@cost_usd:[0.1 TO *] @error_type:*", "a range; and that an attribute is there"),
)


class _TraceId(Convertor[str]):
    """A trace id in a path: anything but nothing, slashes and ends of lines too."""

    regex = "(?s:.+)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("trace", _TraceId())


async def show_traces(page: Page) -> Response:
    """The list, with its filter in the address."""
    try:
        asked = read_filter(page.query, page.now_us)
        found = await _read(page, asked)
    except ValidationFailedError as error:
        position = error.position if isinstance(error, SearchSyntaxError) else None
        told = {"problem": error.message, "position": position}
        return page.render("traces/list.html", 400, **_form(), asked=None, found=None, is_live=False, **told)
    is_live = asked.before is None and not asked.wanted.query
    return page.render("traces/list.html", **_form(), asked=asked, found=found, is_live=is_live, trace_path=trace_path)


async def refresh_traces(page: Page) -> str:
    """The first page of the list, as it is now."""
    asked = read_filter(page.query, page.now_us)
    return page.fragment("traces/table.html", asked=asked, found=await _read(page, asked), trace_path=trace_path)


async def download_traces(page: Page) -> Response:
    """The list as CSV, the newest 10,000 that match."""
    asked = read_filter(page.query, page.now_us)
    rows: list[ListedTrace] = []
    before = asked.before
    for _ in range(CSV_PAGES_MAX):
        found = await read_traces(page.services, page.person, asked.wanted, before=before, limit=CSV_PER_PAGE)
        rows += found.traces
        before = found.next
        if before is None or len(rows) >= CSV_TRACES_MAX:
            break
    text = csv_text(_COLUMNS, [_cells(trace) for trace in rows[:CSV_TRACES_MAX]])
    return Response(text, media_type="text/csv", headers={"Content-Disposition": 'attachment; filename="traces.csv"'})


async def _read(page: Page, asked: Asked) -> TracePage:
    return await read_traces(page.services, page.person, asked.wanted, before=asked.before)


def _form() -> dict[str, Any]:
    periods = [("", "Any time"), *((name, f"Last {name}") for name in PERIODS)]
    return {"statuses": list(TraceStatus), "periods": periods, "examples": _EXAMPLES}


def _cells(trace: ListedTrace) -> list[object]:
    log = trace.log
    return [
        iso(trace.received_at_us), iso(trace.occurred_at_ms * 1_000), trace.trace_id, trace.span_id, trace.agent,
        log.agent_name, trace.environment, trace.span_type, log.span_name, trace.status, log.duration_ms, log.cost_usd,
        log.total_tokens, log.error_type, log.execlave.decision_id, " ".join(log.execlave.policy_ids),
    ]  # fmt: skip


_READ, _AREA = Permission.TRACES_READ, "traces"
ROUTES = (
    PageRoute("GET", "/traces", _READ, show_traces, _AREA),
    PageRoute("GET", "/traces.csv", _READ, download_traces, _AREA),
    PageRoute("GET", "/traces/{trace:trace}/evidence", Permission.AUDIT_READ, show_evidence, _AREA),
    PageRoute("POST", "/traces/{trace:trace}/content", Permission.TRACES_CONTENT, show_trace_content, _AREA),
    PageRoute("POST", "/traces/{trace:trace}/incident", Permission.INCIDENTS_EDIT, post_incident, _AREA),
    PageRoute("POST", "/traces/{trace:trace}/resolution", Permission.INCIDENTS_EDIT, post_resolution, _AREA),
    PageRoute("GET", "/traces/{trace:trace}", _READ, show_trace, _AREA),  # after those in it
)
TOPICS = (Topic("traces", _READ, refresh_traces),)
