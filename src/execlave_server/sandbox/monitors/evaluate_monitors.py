"""Evaluates the monitors each minute of the sandbox's clock, and keeps and tells what changed."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from urllib.parse import urlencode

from aiohttp import web

from execlave_server.datadog.monitors.evaluate_monitor import Change, Why
from execlave_server.datadog.monitors.monitor_query import MINUTE_US
from execlave_server.sandbox.limits import NOTIFICATION_CHARS_MAX, PREPARE_SLICE_LOGS
from execlave_server.sandbox.match_logs import searchable
from execlave_server.sandbox.monitors.find_handles import find_handles
from execlave_server.sandbox.monitors.held_monitor import Event, HeldMonitor
from execlave_server.sandbox.monitors.show_monitor import name_group
from execlave_server.sandbox.state import STATE, SandboxState

LOOK_EVERY_S = 1.0  # how soon a full minute is noticed; the clock may be moved, so no timer is set on it


async def keep_evaluating(app: web.Application) -> AsyncIterator[None]:
    """Evaluate in the background while the sandbox runs."""
    state = app[STATE]
    task = asyncio.create_task(evaluate_each_minute(state))
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await state.notifier.close()


async def evaluate_each_minute(state: SandboxState) -> None:
    """Once for each minute that begins; what monitors and metrics count is prepared meanwhile."""
    last = state.clock.now_us() // MINUTE_US
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        try:
            last = await look_at_clock(state, last)
        except Exception:  # the boundary of this task: one bad evaluation must not be the last
            logging.getLogger(__name__).exception("the monitors could not be evaluated")


async def look_at_clock(state: SandboxState, last: int) -> int:
    """Evaluate when another minute than `last` has begun, as of its beginning; the minute it is."""
    minute = state.clock.now_us() // MINUTE_US
    if state.metrics or state.monitors:
        await state.index.catch_up(state.clock.now_us())
    if minute != last:
        await evaluate_monitors(state, minute * MINUTE_US)
    return minute


async def move_clock(state: SandboxState, forward_us: int) -> None:
    """Set the clock forward, evaluating at each full minute on the way as if it had passed."""
    end_us = state.clock.now_us() + forward_us
    while (minute_us := (state.clock.now_us() // MINUTE_US + 1) * MINUTE_US) <= end_us:
        state.clock.move(minute_us - state.clock.now_us())
        await evaluate_monitors(state, minute_us)
    state.clock.move(max(0, end_us - state.clock.now_us()))


async def evaluate_monitors(state: SandboxState, at_us: int, *, forced: bool = False) -> list[Event]:
    """Give every due monitor its new logs and hold it against its thresholds; what changed."""
    async with state.evaluating:
        await state.index.catch_up(at_us)
        await feed_monitors(state, list(state.monitors.values()))
        events: list[Event] = []
        for monitor in list(state.monitors.values()):
            if forced or monitor.is_due(at_us):
                events += record_changes(state, monitor, monitor.evaluate(at_us))
        return events


async def feed_monitors(state: SandboxState, monitors: list[HeldMonitor]) -> None:
    """Show each monitor the logs that it has not seen, in one walk for all."""
    index = state.index
    last = index.forgotten + index.searchable
    first = max(min((monitor.fed for monitor in monitors), default=last), index.forgotten) + 1
    for sequence in range(first, last + 1):
        log = index.read(sequence)
        found = None if log is None else searchable(log)
        for monitor in monitors:
            if found is not None and monitor.fed < sequence:
                monitor.feed(found)
            monitor.fed = max(monitor.fed, sequence)
        if sequence % PREPARE_SLICE_LOGS == 0:
            await asyncio.sleep(0)
            if index.forgotten + index.searchable < sequence:
                return  # all logs were forgotten meanwhile


def record_changes(state: SandboxState, monitor: HeldMonitor, changes: Iterable[Change]) -> list[Event]:
    """Keep the changes in the monitor's history, and tell of those that are told."""
    events: list[Event] = []
    told: set[tuple[Why, tuple[str, ...]]] = set()
    for change in changes:
        event = describe_change(monitor, change)
        aggregate = audience(monitor, change)
        if change.notify is not None and (change.notify, aggregate) not in told:
            told.add((change.notify, aggregate))
            link = link_to_logs(state, monitor, change)
            event.transition = change.notify.transition
            event.title = monitor.work.title(change)
            event.body = monitor.work.message(change, link)[:NOTIFICATION_CHARS_MAX]
            event.handles = find_handles(event.body)
            state.notifier.tell(monitor.id, event, link)
        monitor.history.append(event)
        events.append(event)
    return events


def describe_change(monitor: HeldMonitor, change: Change) -> Event:
    """The line of the history."""
    return Event(
        at_us=change.at_us,
        group=name_group(monitor.group_by, change.group),
        before=change.before.value,
        after=change.after.value,
        value=change.value,
    )


def audience(monitor: HeldMonitor, change: Change) -> tuple[str, ...]:
    """The groups of one audience are told of once: by all that is grouped by, or by what `notify_by` names."""
    notify_by = monitor.evaluation.definition.options.notify_by
    if notify_by is None:
        return change.group
    return tuple(value for name, value in zip(monitor.group_by, change.group, strict=True) if name in notify_by)


def link_to_logs(state: SandboxState, monitor: HeldMonitor, change: Change) -> str:
    """The log explorer at the logs behind a change."""
    query = monitor.evaluation.query
    scope = [f'{name}:"{value}"' for name, value in zip(monitor.group_by, change.group, strict=True)]
    to_ms = change.at_us // 1_000
    arguments = {
        "query": " ".join([query.search if not scope else f"({query.search})", *scope]),
        "from": to_ms - query.window_us // 1_000,
        "to": to_ms,
    }
    return f"{state.base_url}/logs?{urlencode(arguments)}"
