"""`/api/v1/monitor`: create, validate, get, list, search, update, delete."""

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from execlave_server.sandbox.api_requests import read_object
from execlave_server.sandbox.json_answer import json_answer
from execlave_server.sandbox.limits import MONITORS_MAX
from execlave_server.sandbox.monitors.held_monitor import FIELDS, HeldMonitor, open_monitor
from execlave_server.sandbox.monitors.show_monitor import show_found, show_monitor
from execlave_server.sandbox.refusals import ApiRefusedError
from execlave_server.sandbox.state import STATE

PAGE_DEFAULT = 30  # monitors on a page of the search
PAGE_MAX = 1_000


async def create_monitor(request: web.Request) -> web.Response:
    """200 and the monitor; it is evaluated from the next full minute on."""
    state = request.app[STATE]
    monitor = open_monitor(state.next_monitor_id, await read_object(request), state.clock.now_us())
    if len(state.monitors) >= MONITORS_MAX:
        raise ApiRefusedError(400, f"the sandbox holds {MONITORS_MAX} monitors: delete one")
    state.next_monitor_id += 1
    state.monitors[monitor.id] = monitor
    return json_answer(show_monitor(monitor))


async def validate_monitor(request: web.Request) -> web.Response:
    """200 and `{}` for what could be created. Which attributes exist is not asked, as on the real one."""
    open_monitor(0, await read_object(request), request.app[STATE].clock.now_us())
    return json_answer({})


async def list_monitors(request: web.Request) -> web.Response:
    """All of them, by id, or those whose name and tags hold what is asked for."""
    given = request.query
    with_groups = bool(given.get("group_states"))
    wanted_tags = {tag for tag in given.get("monitor_tags", "").split(",") if tag}
    found = [
        monitor
        for monitor in request.app[STATE].monitors.values()
        if given.get("name", "").lower() in monitor.body.get("name", "").lower()
        and wanted_tags <= set(monitor.body.get("tags") or [])
    ]
    if "page" in given:
        size = read_page(given.get("page_size"), 100, 1, PAGE_MAX)
        page = read_page(given["page"], 0, 0, MONITORS_MAX)
        found = found[page * size : (page + 1) * size]
    return json_answer([show_monitor(monitor, with_groups=with_groups) for monitor in found])


async def search_monitors(request: web.Request) -> web.Response:
    """A page of those that match `query`: words of the name, and `status:`, `tag:`, `type:`, `id:`."""
    given = request.query
    words = given.get("query", "").split()
    found = [monitor for monitor in request.app[STATE].monitors.values() if all(fits(monitor, word) for word in words)]
    size = read_page(given.get("per_page"), PAGE_DEFAULT, 1, PAGE_MAX)
    page = read_page(given.get("page"), 0, 0, MONITORS_MAX)
    shown = [show_found(monitor) for monitor in found]
    return json_answer(
        {
            "counts": {
                "muted": count_values([False] * len(found)),
                "status": count_values(each["status"] for each in shown),
                "tag": count_values(tag for each in shown for tag in each["tags"]),
                "type": count_values("log" for _ in found),
            },
            "metadata": {
                "page": page,
                "page_count": math.ceil(len(found) / size),
                "per_page": size,
                "total_count": len(found),
            },
            "monitors": shown[page * size : (page + 1) * size],
        }
    )


def fits(monitor: HeldMonitor, word: str) -> bool:
    """Whether a monitor has what one word of a search asks for."""
    key, colon, value = word.partition(":")
    value = value.strip('"').lower()
    match key if colon else "":
        case "status":
            return monitor.evaluation.overall.value.lower() == value
        case "tag":
            return value in (monitor.body.get("tags") or [])
        case "type":
            return value in {"log", "log alert"}
        case "id":
            return value == str(monitor.id)
        case _:
            return word.strip('"').lower() in monitor.body.get("name", "").lower()


def count_values(values: Iterable[object]) -> list[dict[str, Any]]:
    """How often each occurs, most first."""
    return [{"name": name, "count": count} for name, count in Counter(values).most_common()]


def read_page(text: str | None, default: int, least: int, most: int) -> int:
    """A number of the query string. Raises ApiRefusedError for what is none, or out of range."""
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(most)) and least <= int(text) <= most):
        raise ApiRefusedError(400, f"Invalid page: {text!r}; write a whole number from {least} to {most}")
    return int(text)


async def show_one(request: web.Request) -> web.Response:
    """One monitor; `group_states` asks for the state of each group."""
    with_groups = bool(request.query.get("group_states"))
    return json_answer(show_monitor(find_monitor(request), with_groups=with_groups))


async def update_monitor(request: web.Request) -> web.Response:
    """What is given replaces what was there; its states begin anew, its history stays."""
    state = request.app[STATE]
    there = find_monitor(request)
    change = await read_object(request)
    body = {**there.body, **{name: value for name, value in change.items() if name in FIELDS}}
    monitor = open_monitor(there.id, body, state.clock.now_us())
    monitor.created_us = there.created_us
    monitor.history = there.history
    state.monitors[there.id] = monitor
    return json_answer(show_monitor(monitor))


async def delete_monitor(request: web.Request) -> web.Response:
    """200 and the id."""
    monitor = find_monitor(request)
    del request.app[STATE].monitors[monitor.id]
    return json_answer({"deleted_monitor_id": monitor.id})


async def check_deletable(request: web.Request) -> web.Response:
    """Nothing refers to a monitor here, so each that exists can be deleted."""
    ids = [part for part in request.query.get("monitor_ids", "").split(",") if part]
    held = request.app[STATE].monitors
    if not ids or not all(part.isdecimal() and int(part) in held for part in ids):
        raise ApiRefusedError(404, "Monitor not found")
    return json_answer({"data": {"ok": [int(part) for part in ids]}, "errors": None})


def find_monitor(request: web.Request) -> HeldMonitor:
    """The monitor in the path. Raises ApiRefusedError in the recorded words where there is none."""
    text = request.match_info["id"]
    monitor = request.app[STATE].monitors.get(int(text)) if text.isdecimal() else None
    if monitor is None:
        raise ApiRefusedError(404, "Monitor not found")
    return monitor
