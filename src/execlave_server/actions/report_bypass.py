"""What the SDK did without the server's decision, reported afterwards: each window once, each on the audit chain."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from execlave_server.actions.services import Services
from execlave_server.audit.chain import Event
from execlave_server.audit.event_logs import EventContext, context_of
from execlave_server.audit.events import Bypass, Kind
from execlave_server.errors import UnavailableError
from execlave_server.model.agents import Agent, resolve_agent
from execlave_server.model.organizations import ApiKey
from execlave_server.store.protocol import Call, NewEvent, StaleError, Write

REPORT_AGAIN_MAX = 5  # each time means that the same report was committed beside this one
DROPPED = "reports_dropped"


class BypassReport(Struct, frozen=True, kw_only=True):
    """A window, or (`kind` drop) how many windows and calls the SDK's buffer could not keep. `id` is the SDK's."""

    id: str
    kind: str
    agent: str | None
    reason: str
    source: str | None
    first_at_us: int
    last_at_us: int
    calls: int
    windows: int
    message: str | None
    status: int | None
    consecutive_failures: int | None
    sdk: str


class BypassResult(Struct, frozen=True):
    """How many were new, and how many were known; both are on disk."""

    accepted: int
    duplicates: int


async def report_bypasses(services: Services, key: ApiKey, reports: Sequence[BypassReport]) -> BypassResult:
    """Keep each report that is new, together with its entry of the audit chain. Raises UnavailableError."""
    once = {report.id: report for report in reports}
    for _ in range(REPORT_AGAIN_MAX):
        new = [once[each] for each in sorted(once) if not await _is_known(services, key, each)]
        if not new:
            return BypassResult(0, len(reports))
        try:
            await services.store.commit(await _write(services, key, new))
        except StaleError:
            continue
        return BypassResult(len(new), len(reports) - len(new))
    raise UnavailableError("The same report is being sent again and again at this moment. Try again.")


async def _is_known(services: Services, key: ApiKey, report: str) -> bool:
    return bool(await services.store.rows("known_bypass", {"organization": key.organization, "id": report}))


async def _write(services: Services, key: ApiKey, reports: Sequence[BypassReport]) -> Write:
    now_us = services.clock.now_us()
    named = await services.agents.named(key, {report.agent for report in reports if report.agent}, fresh=True)
    rows = [
        {name: getattr(report, name) for name in report.__struct_fields__}
        | {"organization": key.organization, "api_key": key.id, "now_us": now_us}
        for report in reports
    ]
    events = [
        NewEvent(key.organization, _event(key, report, now_us), _context(key, report, named)) for report in reports
    ]
    return Write(charges=[Call("insert_bypass", row) for row in rows], events=events)


def _context(key: ApiKey, report: BypassReport, named: Mapping[str, list[Agent]]) -> EventContext:
    if report.agent is None:
        return EventContext()
    agent = resolve_agent(named[report.agent], report.agent, key.environment.agent_environment)
    return context_of(agent, report.agent)


def _event(key: ApiKey, report: BypassReport, now_us: int) -> Event:
    details = Bypass(
        agent=report.agent,
        calls=report.calls,
        from_us=report.first_at_us,
        reason=report.reason,
        until_us=report.last_at_us,
        window=report.id,
    )
    return Event(Kind.ENFORCEMENT_BYPASSED, now_us, f"key:{key.id}", f"bypass:{report.id}", details)
