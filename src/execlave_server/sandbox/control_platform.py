"""The sandbox's own endpoints for its time, its monitors and its settings, under /sandbox."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType
from yarl import URL

from execlave_server.errors import ValidationFailedError
from execlave_server.sandbox.control import read_json
from execlave_server.sandbox.json_answer import json_answer
from execlave_server.sandbox.limits import CLOCK_STEP_US_MAX, INDEXING_DELAY_MS_MAX
from execlave_server.sandbox.monitors.evaluate_monitors import evaluate_monitors, move_clock
from execlave_server.sandbox.monitors.notifier import is_local
from execlave_server.sandbox.state import STATE, SandboxState


class ClockStep(Struct, forbid_unknown_fields=True):
    """The body of `POST /sandbox/clock`."""

    advance_s: Annotated[float, Meta(gt=0, le=CLOCK_STEP_US_MAX / 1_000_000)]


class SettingsChange(Struct, forbid_unknown_fields=True):
    """The body of `PUT /sandbox/settings`; what is not named stays."""

    webhook_url: str | UnsetType | None = UNSET
    indexing_delay_ms: Annotated[int, Meta(ge=0, le=INDEXING_DELAY_MS_MAX)] | UnsetType = UNSET


async def show_clock(request: web.Request) -> web.Response:
    """`GET /sandbox/clock`: its time, and how far ahead of the machine's it is."""
    clock = request.app[STATE].clock
    now = datetime.fromtimestamp(clock.now_us() / 1_000_000, UTC)
    return json_answer({"now": now.isoformat(), "now_us": clock.now_us(), "ahead_s": clock.ahead_us / 1_000_000})


async def move_clock_forward(request: web.Request) -> web.Response:
    """`POST /sandbox/clock`: time passes at once; monitors are evaluated at each full minute of it."""
    step = await read_json(request, ClockStep)
    await move_clock(request.app[STATE], int(step.advance_s * 1_000_000))
    return await show_clock(request)


async def evaluate_now(request: web.Request) -> web.Response:
    """`POST /sandbox/evaluate`: every monitor, whether its minute is over or not; answers what changed."""
    state = request.app[STATE]
    events = await evaluate_monitors(state, state.clock.now_us(), forced=True)
    await state.notifier.settle()
    return json_answer({"changes": events})


async def show_history(request: web.Request) -> web.Response:
    """`GET /sandbox/history`: the changes of every monitor that is there, oldest first."""
    state = request.app[STATE]
    lines = [
        {"monitor_id": monitor.id, "monitor": monitor.body.get("name", ""), **msgspec.structs.asdict(event)}
        for monitor in state.monitors.values()
        for event in monitor.history
    ]
    lines.sort(key=lambda line: line["at_us"])
    return json_answer({"events": lines})


async def show_settings(request: web.Request) -> web.Response:
    """`GET /sandbox/settings`."""
    return json_answer(describe_settings(request.app[STATE]))


async def change_settings(request: web.Request) -> web.Response:
    """`PUT /sandbox/settings`: where notifications go, and how long a log takes until it can be searched."""
    state = request.app[STATE]
    change = await read_json(request, SettingsChange)
    if not isinstance(change.webhook_url, UnsetType):
        state.notifier.url = read_webhook(change.webhook_url)
    if not isinstance(change.indexing_delay_ms, UnsetType):
        state.index.indexing_delay_us = change.indexing_delay_ms * 1_000
    return json_answer(describe_settings(state))


def describe_settings(state: SandboxState) -> dict[str, Any]:
    """The settings as they are."""
    return {
        "webhook_url": None if state.notifier.url is None else str(state.notifier.url),
        "indexing_delay_ms": state.index.indexing_delay_us // 1_000,
    }


def read_webhook(text: str | None) -> URL | None:
    """Only an address of this machine: the sandbox tells nobody else."""
    if text is None:
        return None
    try:
        url = URL(text)
    except ValueError as error:
        raise ValidationFailedError(f"`webhook_url` is no address: {error}") from error
    if not is_local(url):
        raise ValidationFailedError(
            "`webhook_url` must be on this machine, such as http://127.0.0.1:9000/alerts: the sandbox tells nobody else"
        )
    return url
