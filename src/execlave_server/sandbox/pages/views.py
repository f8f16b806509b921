"""The handlers of the pages."""

import msgspec
from aiohttp import web

from execlave_server.datadog.monitors.parse_monitor_query import join_monitor_query
from execlave_server.sandbox.date_math import read_bound_ms
from execlave_server.sandbox.limits import SEARCHABLE_LOGS_MIN
from execlave_server.sandbox.match_logs import SearchSyntaxError, compile_matcher
from execlave_server.sandbox.monitors.api import find_monitor
from execlave_server.sandbox.monitors.show_monitor import name_group
from execlave_server.sandbox.pages.drawings import HEIGHT, WIDTH, draw_values
from execlave_server.sandbox.pages.log_explorer import (
    PAGE_LOGS,
    RANGES,
    Explored,
    explore,
    logs_link,
    trace_url,
    tree,
    whole_json,
)
from execlave_server.sandbox.pages.render import render_page, show_style
from execlave_server.sandbox.prepared_log import PreparedLog
from execlave_server.sandbox.refusals import ApiRefusedError
from execlave_server.sandbox.search_logs import Found, LogFilter, SearchBody, SearchPage, find_logs, write_cursor
from execlave_server.sandbox.state import STATE, SandboxState

__all__ = ["show_differences", "show_logs", "show_monitor_page", "show_monitors", "show_style"]


class Problem(msgspec.Struct):
    """What is wrong with a search; the mark stands under the place."""

    text: str
    mark: str = ""


async def show_logs(request: web.Request) -> web.Response:
    """`GET /logs?query=&from=&to=&cursor=&log=`: the explorer."""
    state = request.app[STATE]
    given = request.query
    wanted = LogFilter(given.get("query", ""), given.get("from", "now-1h"), given.get("to", "now"))
    await state.index.catch_up(state.clock.now_us())
    problem = find_problem(wanted.query)
    found, explored = Found([], None), Explored()
    if problem is None:
        try:
            found, explored = await search(state, wanted, given.get("cursor"))
        except ApiRefusedError as refused:
            problem = Problem("; ".join(refused.errors))
    opened = find_opened(state, given.get("log", ""))
    after = write_cursor(found.after) if found.after else None
    here = {"query": wanted.query, "from_": str(wanted.from_), "to": str(wanted.to)}
    return render_page(
        "logs.html",
        status=400 if problem else 200,
        wanted=wanted,
        ranges=RANGES,
        problem=problem,
        logs=found.logs,
        explored=explored,
        next_link=logs_link(**here, cursor=after) if after else None,
        log_link=lambda log: logs_link(**here, cursor=given.get("cursor"), log=log.sequence),
        close_link=logs_link(**here, cursor=given.get("cursor")),
        narrow_link=lambda query: logs_link(query=query, from_=str(wanted.from_), to=str(wanted.to)),
        opened=opened,
        tree=tree(opened.attributes) if opened else [],
        trace_url=trace_url(opened) if opened else None,
        whole_json=whole_json(opened) if opened else "",
        searchable=state.index.searchable,
        forgotten=state.index.forgotten,
        waiting=state.index.waiting,
        searchable_min=SEARCHABLE_LOGS_MIN,
        drawing=(WIDTH, HEIGHT),
        active="logs",
    )


async def search(state: SandboxState, wanted: LogFilter, cursor: str | None) -> tuple[Found, Explored]:
    """A page of logs, and what goes around it."""
    now_us = state.clock.now_us()
    from_ms, to_ms = read_bound_ms(wanted.from_, now_us, "from"), read_bound_ms(wanted.to, now_us, "to")
    found = await find_logs(state, SearchBody(wanted, page=SearchPage(PAGE_LOGS, cursor)))
    return found, await explore(state, wanted, from_ms, to_ms)


def find_problem(query: str) -> Problem | None:
    """What is wrong with the query, and where."""
    try:
        compile_matcher(query)
    except SearchSyntaxError as error:
        return Problem(error.message, " ".join(query.splitlines()) + "\n" + " " * error.position + "^")
    return None


def find_opened(state: SandboxState, text: str) -> PreparedLog | None:
    """The log of the side panel."""
    digits = text.isascii() and text.isdecimal() and len(text) < 19  # noqa: PLR2004 - fits 64 bits
    return state.index.read(int(text)) if digits else None


async def show_monitors(request: web.Request) -> web.Response:
    """`GET /monitors`: all of them, the gravest first."""
    state = request.app[STATE]
    order = {"Alert": 0, "Warn": 1, "No Data": 2, "OK": 3}
    monitors = sorted(state.monitors.values(), key=lambda each: (order[each.evaluation.overall.value], each.id))
    return render_page("monitors.html", monitors=monitors, now_us=state.clock.now_us(), active="monitors")


async def show_monitor_page(request: web.Request) -> web.Response:
    """`GET /monitors/{id}`: query, value over time, groups, history."""
    state = request.app[STATE]
    try:
        monitor = find_monitor(request)
    except ApiRefusedError:
        return render_page("missing.html", status=404, active="monitors")
    query = monitor.evaluation.query
    thresholds = monitor.evaluation.definition.options.thresholds
    groups = [(name_group(monitor.group_by, group), held) for group, held in monitor.evaluation.groups.items()]
    return render_page(
        "monitor.html",
        monitor=monitor,
        query=query,
        query_text=join_monitor_query(query),
        logs_link=logs_link(query=query.search, from_=f"now-{query.window_minutes}m", to="now"),
        thresholds=thresholds,
        groups=sorted(groups, key=lambda each: (each[1].status.value != "Alert", each[0])),
        line=draw_values(monitor.drawn, thresholds.critical, thresholds.warning),
        history=list(reversed(monitor.history)),
        webhook=state.notifier.url,
        drawing=(WIDTH, HEIGHT),
        active="monitors",
    )


async def show_differences(_request: web.Request) -> web.Response:
    """`GET /about`: where the sandbox differs."""
    return render_page("about.html", active="about")
