"""Agents: who is registered and who is not, what each costs, and the kill switch."""

from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response

from execlave_server.actions.govern_agent import set_agent_status
from execlave_server.actions.read_activity import read_spend_by_day, read_spend_this_month
from execlave_server.actions.show_agents import AgentFile, list_agent_rows, list_unregistered, read_agent
from execlave_server.errors import ConflictError
from execlave_server.model.agents import AgentStatus
from execlave_server.model.permissions import Permission
from execlave_server.web.charts import Series, bar_chart
from execlave_server.web.exchange import Page, PageRoute
from execlave_server.web.render import usd, utc

LIST = "/agents"
SHOWN = 50
DAYS_SHOWN = 30
OFFSET_MAX = 1_000_000
REASON_CHARS_MAX = 500
_DAY_US = 86_400_000_000


async def show_agents(page: Page) -> Response:
    """The registry."""
    word, search = page.query["status"], page.query["q"]
    chosen = AgentStatus(word) if word in set(AgentStatus) else None
    text = page.query["offset"]
    offset = min(int(text), OFFSET_MAX) if text.isascii() and text.isdigit() else 0
    rows = await list_agent_rows(
        page.services, page.organization.number, search=search, status=chosen, limit=SHOWN + 1, offset=offset
    )
    kept = {name: page.query[name] for name in ("q", "status") if page.query[name]}

    def at(start: int) -> str:
        return f"{LIST}?{urlencode({**kept, 'offset': start})}"

    return page.render(
        "agents/list.html",
        rows=rows[:SHOWN],
        filtered=bool(kept),
        values=page.query,
        statuses=[("", "any status"), *((each.value, each.value) for each in AgentStatus)],
        unregistered=await list_unregistered(page.services, page.organization.number) if not offset else [],
        older=at(offset + SHOWN) if len(rows) > SHOWN else None,
        newer=at(max(0, offset - SHOWN)) if offset else None,
    )


async def show_agent(page: Page) -> Response:
    """One agent."""
    return await _show(page, await read_agent(page.services, page.organization.number, page.path("id")))


async def post_pause(page: Page) -> Response:
    """Stop it: from now on each of its actions is refused, on every server."""
    return await _set(page, AgentStatus.PAUSED, "Paused. Each of its actions is refused from now on, on every server.")


async def post_resume(page: Page) -> Response:
    """Let it act again."""
    return await _set(page, AgentStatus.ACTIVE, "Resumed.")


async def _set(page: Page, status: AgentStatus, done: str) -> Response:
    file = await read_agent(page.services, page.organization.number, page.path("id"))
    reason = page.form["reason"]
    if not reason or len(reason) > REASON_CHARS_MAX:
        said = f"Say why, in 1 to {REASON_CHARS_MAX} characters: it is kept with the agent."
        return await _show(page, file, 400, problem=said, errors={"reason": said})
    try:
        await set_agent_status(page.services, page.person, file.agent.id, status, reason)
    except ConflictError as error:
        return await _show(page, file, error.status, problem=error.message)
    return page.redirect(f"{LIST}/{file.agent.id}", done)


async def _show(page: Page, file: AgentFile, code: int = 200, **more: Any) -> Response:
    services, organization = page.services, page.organization.number
    spend = await read_spend_by_day(services, organization, DAYS_SHOWN, agent=file.agent.id)
    days = [utc(page.now_us - back * _DAY_US)[5:10] for back in range(DAYS_SHOWN - 1, -1, -1)]
    return page.render(
        "agents/agent.html",
        code,
        file=file,
        agent=file.agent,
        profile=msgspec.json.decode(file.agent.profile, type=dict[str, Any]),
        policies=[each.policy for each in file.policies],
        spend=bar_chart("Spend by the day (UTC)", days, [Series("spend", spend)], figure=_dollars),
        today=spend[-1],
        month=await read_spend_this_month(services, organization, agent=file.agent.id),
        **more,
    )


def _dollars(nano_usd: float) -> str:
    return usd(round(nano_usd))


_READ, _CONTROL = Permission.AGENTS_READ, Permission.AGENTS_CONTROL
ROUTES = (
    PageRoute("GET", LIST, _READ, show_agents, "agents"),
    PageRoute("GET", f"{LIST}/{{id}}", _READ, show_agent, "agents"),
    PageRoute("POST", f"{LIST}/{{id}}/pause", _CONTROL, post_pause, "agents"),
    PageRoute("POST", f"{LIST}/{{id}}/resume", _CONTROL, post_resume, "agents"),
)
