"""Approvals: the queue, and one action to decide about."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from starlette.responses import Response

from execlave_server.actions.decide_approval import deny_approval, grant_approval
from execlave_server.actions.read_approvals import find_decider, get_approval, list_approvals, read_action_context
from execlave_server.actions.show_content import note_content_read
from execlave_server.errors import ConflictError, ForbiddenError, NotFoundError, ValidationFailedError
from execlave_server.model.approvals import Approval, ApprovalStatus
from execlave_server.model.permissions import Permission
from execlave_server.model.verdicts import PolicyViolation
from execlave_server.web.exchange import Page, PageRoute
from execlave_server.web.live import Topic

LIST = "/approvals"
SHOWN = 50
OFFSET_MAX = 1_000_000
CONTEXT_CHARS_SHOWN_MAX = 200_000  # of the action, indented: as much as a page carries and a person reads
_EVERY = "all"

_violations = msgspec.json.Decoder(list[PolicyViolation])
_tools = msgspec.json.Decoder(list[Any])


class Shown(NamedTuple):
    """An approval with what a page says of it."""

    approval: Approval
    status: ApprovalStatus
    routed_to: str
    violations: list[PolicyViolation]
    tools: list[str]
    agent_name: str


async def show_queue(page: Page) -> Response:
    """What waits, the newest first; or what was decided."""
    return page.render("approvals/list.html", **await _queue(page))


async def fragment_queue(page: Page) -> str:
    """The same, for a page that follows it."""
    return page.fragment("approvals/_queue.html", **await _queue(page))


async def show_approval(page: Page) -> Response:
    """One action to decide about, with all that a decision needs."""
    return await _show(page, await get_approval(page.services, page.organization.number, page.path("id")))


async def post_grant(page: Page) -> Response:
    """Let it run once."""
    return await _decide(page, grants=True)


async def post_deny(page: Page) -> Response:
    """Keep it from running."""
    return await _decide(page, grants=False)


async def _queue(page: Page) -> dict[str, Any]:
    word = page.query["status"] or ApprovalStatus.PENDING
    status = ApprovalStatus(word) if word in set(ApprovalStatus) else None
    text = page.query["offset"]
    offset = min(int(text), OFFSET_MAX) if text.isascii() and text.isdigit() else 0
    found, total = await list_approvals(
        page.services, page.organization.number, status=status, limit=SHOWN, offset=offset
    )
    names = await _agent_names(page, found)
    older = f"{LIST}?status={status or _EVERY}&offset={offset + SHOWN}" if offset + SHOWN < total else None
    newer = f"{LIST}?status={status or _EVERY}&offset={max(0, offset - SHOWN)}" if offset else None
    return {
        "shown": [_shown(approval, page.now_us, names) for approval in found],
        "chosen": status or _EVERY,
        "tabs": [(each, each.capitalize(), f"{LIST}?status={each}") for each in (*ApprovalStatus, _EVERY)],
        "total": total,
        "older": older,
        "newer": newer,
    }


async def _decide(page: Page, *, grants: bool) -> Response:
    decide = grant_approval if grants else deny_approval
    try:
        approval = await decide(page.services, page.person, page.path("id"), page.form["reason"])
    except (ConflictError, ForbiddenError, ValidationFailedError) as error:
        approval = await get_approval(page.services, page.organization.number, page.path("id"))
        fields = error.fields if isinstance(error, ValidationFailedError) else {}
        return await _show(page, approval, status=error.status, problem=error.message, errors=fields)
    done = "Approved. The agent may run this action once, within ten minutes." if grants else "Denied."
    return page.redirect(f"{LIST}/{approval.id}", done)


async def _show(page: Page, approval: Approval, *, status: int = 200, **more: Any) -> Response:
    context = None
    if page.may(Permission.TRACES_CONTENT):
        context = await _read_context(page, approval)
    decider = await find_decider(page.services, approval)
    shown = _shown(approval, page.now_us, await _agent_names(page, [approval]))
    waits = shown.status is ApprovalStatus.PENDING
    return page.render(
        "approvals/approval.html", status, shown=shown, context=context, decider=decider, waits=waits, **more
    )


async def _read_context(page: Page, approval: Approval) -> str | None:
    packed = await read_action_context(page.services, approval)
    if packed is None:
        return None
    await note_content_read(page.services, page.person, [approval.trace_id or approval.id])
    text = msgspec.json.format(packed, indent=2).decode(errors="replace")
    left_out = len(text) - CONTEXT_CHARS_SHOWN_MAX
    return text if left_out <= 0 else f"{text[:CONTEXT_CHARS_SHOWN_MAX]}\n... and {left_out:,} characters more"


async def _agent_names(page: Page, approvals: Iterable[Approval]) -> dict[str, str]:
    """What the registered agents are called: the SDK names an agent by its UUID, which tells a person nothing."""
    names = {}
    for agent_id in {approval.agent for approval in approvals if approval.agent}:
        try:
            names[agent_id] = (await page.services.agents.find_fresh(page.person, agent_id)).name
        except NotFoundError:
            continue
    return names


def _shown(approval: Approval, now_us: int, names: dict[str, str]) -> Shown:
    return Shown(
        approval,
        approval.status_at(now_us),
        approval.routing_at(now_us).routed_to.replace("_", " "),
        _violations.decode(approval.violations),
        [_tool_name(tool) for tool in _tools.decode(approval.tools)],
        names.get(approval.agent or "", approval.agent_reference),
    )


def _tool_name(tool: Any) -> str:
    return str(tool.get("name", "")) if isinstance(tool, dict) else str(tool)


_READ, _DECIDE = Permission.APPROVALS_READ, Permission.APPROVALS_DECIDE
ROUTES = (
    PageRoute("GET", LIST, _READ, show_queue, "approvals"),
    PageRoute("GET", f"{LIST}/{{id}}", _READ, show_approval, "approvals"),
    PageRoute("POST", f"{LIST}/{{id}}/grant", _DECIDE, post_grant, "approvals"),
    PageRoute("POST", f"{LIST}/{{id}}/deny", _DECIDE, post_deny, "approvals"),
)
TOPICS = (Topic("approvals", _READ, fragment_queue),)
