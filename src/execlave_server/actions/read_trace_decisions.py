"""The decisions about a trace: what was asked, which policy, rule and version decided, and who approved."""

import msgspec
from msgspec import Struct

from execlave_server.actions.read_approvals import find_approval, find_decider
from execlave_server.actions.read_timeline import Timeline
from execlave_server.actions.services import Services
from execlave_server.audit.records import MatchedPolicy
from execlave_server.audit.stored_rows import StoredDecision
from execlave_server.model.approvals import Approval
from execlave_server.model.people import Caller, Person
from execlave_server.store.protocol import find_one

DECISIONS_MAX = 200  # of one trace


class ViolationShown(Struct, frozen=True, rename="camel"):
    """An objection as the decision kept it."""

    policy_id: str = ""
    policy_name: str = ""
    policy_type: str = ""
    rule_id: str = ""
    severity: str = ""
    message: str = ""
    remediation: str = ""
    enforcement_mode: str = ""
    policy_version: int | None = None


class TraceDecision(Struct, frozen=True):
    """A decision, the approval it asked for, and who gave it."""

    stored: StoredDecision
    violations: tuple[ViolationShown, ...]
    policies: tuple[MatchedPolicy, ...]
    approval: Approval | None
    decider: Person | None


async def read_trace_decisions(services: Services, caller: Caller, timeline: Timeline) -> list[TraceDecision]:
    """The decisions recorded under the trace's id, and those that its spans' logs name, oldest first."""
    scope: dict[str, str | int | float | bytes | None] = {"organization": caller.organization}
    wanted = {**scope, "trace_id": timeline.trace_id, "limit": DECISIONS_MAX}
    found = await services.store.find(StoredDecision, "timeline_decisions", wanted)
    known = {each.id for each in found}
    named = {span.log.execlave.decision_id for span in timeline.own} - known - {None}
    for decision in sorted(str(name) for name in named)[: DECISIONS_MAX - len(found)]:
        other = await find_one(services.store, StoredDecision, "timeline_decision", {**scope, "id": decision})
        found += [other] if other else []
    found.sort(key=lambda each: (each.decided_at_us, each.id))
    return [await _shown(services, each) for each in found]


async def _shown(services: Services, stored: StoredDecision) -> TraceDecision:
    approval = await find_approval(services, stored.organization, stored.approval) if stored.approval else None
    return TraceDecision(
        stored,
        _read(stored.violations, tuple[ViolationShown, ...]),
        _read(stored.policies, tuple[MatchedPolicy, ...]),
        approval,
        await find_decider(services, approval) if approval else None,
    )


def _read(text: str, wanted: type[tuple[object, ...]]) -> tuple:  # type: ignore[type-arg]
    """What was stored; of what was tampered with, nothing."""
    try:
        return msgspec.json.decode(text, type=wanted)
    except msgspec.MsgspecError:
        return ()
