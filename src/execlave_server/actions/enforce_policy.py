"""Before an agent acts: decide, record the decision, answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
import structlog

from execlave_server.actions.ask_validator import Answers
from execlave_server.actions.gather_facts import Gathered, Kept, charges_of, gather_facts, reservation_of
from execlave_server.actions.judge_traces import governed_of
from execlave_server.actions.meter import nano
from execlave_server.actions.read_agents import standing_checks
from execlave_server.actions.read_policies import Policies
from execlave_server.actions.record_decision import DecisionFacts, new_decision
from execlave_server.actions.request_approval import ApprovalRequest, RequestedApproval, request_approval
from execlave_server.actions.services import Services
from execlave_server.actions.stopped_trace import StoppedAction, stopped_trace
from execlave_server.actions.watch_budgets import budget_effects
from execlave_server.audit.records import MatchedPolicy
from execlave_server.datadog.logs import Governed
from execlave_server.errors import UnavailableError
from execlave_server.model.agents import Agent, resolve_agent
from execlave_server.model.approvals import requester_of
from execlave_server.model.decisions import Decision, Outcome, Violation
from execlave_server.model.organizations import ApiKey
from execlave_server.model.traces import NewTrace, TraceStatus
from execlave_server.model.verdicts import PolicyViolation, Ruling, Verdict
from execlave_server.policy.action import Action, Facts
from execlave_server.policy.budgets import add_violations, judge_budgets
from execlave_server.policy.engine import CompiledPolicies, decide, fails_closed, scan_bytes
from execlave_server.policy.standing import check_agent, check_key, refuse_uncommitted
from execlave_server.store.protocol import Call, Check, NewEvent, StaleError, Telling, Traces, Write

DECIDE_AGAIN_MAX = 8  # each time means that what it rests on changed between reading and committing
OFF_LOOP_BYTES = 32_000  # scanning more text than this would delay the answers of other requests
log = structlog.get_logger()

_OUTCOMES = {
    Ruling.ALLOW: Outcome.ALLOWED,
    Ruling.WARN: Outcome.WARNED,
    Ruling.REQUIRE_APPROVAL: Outcome.APPROVAL_REQUIRED,
    Ruling.BLOCK: Outcome.BLOCKED,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked. `action_digest` is the SHA-256 of the canonical action context, `context` that context's JSON."""

    action: Action
    action_digest: str
    context: bytes = b"{}"
    trace_id: str | None = None
    parent_span_id: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    client: str | None = None


@dataclass(frozen=True, slots=True)
class _Basis:
    """What a decision rests on, as it was read."""

    key: ApiKey
    agent: Agent | None
    policies: Policies
    checks: Sequence[Check]


@dataclass(frozen=True, slots=True)
class _Judged:
    """A decision with what it was made of."""

    decision: Decision
    verdict: Verdict
    action: Action
    gathered: Gathered | None
    approval: RequestedApproval | None = None


async def enforce_policy(services: Services, presented: str, asked: Asked) -> Decision:
    """Decide, and commit the decision together with the proof that nothing it rests on has changed.

    Where it cannot be committed, a fail_closed policy blocks. Raises UnauthorizedError for a key never issued,
    UnavailableError where no such policy applies.
    """
    started_us = services.clock.elapsed_us()
    with services.right_of_way.deciding():
        try:
            return await _decide_and_commit(services, presented, asked, started_us)
        except UnavailableError as error:
            return await _fail(services, presented, asked, error)


async def _decide_and_commit(services: Services, presented: str, asked: Asked, started_us: int) -> Decision:
    answered: Answers = {}  # a decision that is made again rests on what validators said the first time
    for attempt in range(DECIDE_AGAIN_MAX):
        basis = await _read_basis(services, presented, asked.action, fresh=attempt > 0)
        judged = await _judge(services, basis, asked, answered)
        uses = services.uses.calls(basis.key, [basis.agent])
        write = _write(services, basis, asked, judged, started_us)
        try:
            await services.store.commit(replace(write, calls=[*write.calls, *uses]))
        except StaleError:
            continue
        except UnavailableError:
            if judged.decision.outcome is not Outcome.BLOCKED:
                raise
            log.exception("enforce.block_not_recorded", decision=judged.decision.id)  # refusing is the safe answer
        else:
            services.uses.committed(uses)
            if judged.decision.outcome is Outcome.BLOCKED:
                services.governed.set()  # a budget may have paused the agent
        return judged.decision
    raise UnavailableError("What this decision rests on changes faster than it can be committed. Try again.")


async def refuse_action(services: Services, key: ApiKey, violation: Violation, body_digest: str) -> Decision:
    """Record that a request which could not be judged was refused."""
    started_us = services.clock.elapsed_us()
    asked = Asked(Action(agent_id="", input=""), body_digest)
    policies = await services.policies.of(key.organization)
    judged = _blocked(services, asked, (violation,))
    await services.store.commit(_write(services, _Basis(key, None, policies, ()), asked, judged, started_us))
    return judged.decision


async def _read_basis(services: Services, presented: str, action: Action, *, fresh: bool) -> _Basis:
    key = await services.keys.identify(presented, fresh=fresh)
    named = await services.agents.named(key, [action.agent_id], fresh=fresh)
    agent = resolve_agent(named[action.agent_id], action.agent_id, action.environment)
    policies = await services.policies.of(key.organization, fresh=fresh)
    return _Basis(key, agent, policies, [*standing_checks(key, named), policies.check])


async def _judge(services: Services, basis: _Basis, asked: Asked, answered: Answers) -> _Judged:
    standing = tuple(found for found in (check_key(basis.key), check_agent(basis.agent)) if found)
    if standing:
        return _blocked(services, asked, standing)
    action, compiled = _known(asked.action, basis.key, basis.agent), basis.policies.compiled
    gathered = await gather_facts(services, basis.policies, action, answered)
    used_up = judge_budgets(gathered.held_to.budgets, nano(action.cost_usd))
    verdict = add_violations(await _decide(compiled, action, gathered.facts), used_up)
    decision = Decision(
        id=_new_decision_id(services),
        outcome=_OUTCOMES[verdict.ruling],
        violations=verdict.deciding,
        action_digest=asked.action_digest,
        trace_id=asked.trace_id or (_new_trace_id(services) if verdict.ruling is Ruling.BLOCK else None),
        status=verdict.status,
    )
    if decision.outcome is not Outcome.APPROVAL_REQUIRED:
        return _Judged(decision, verdict, action, gathered)
    approval = _ask_a_person(services, basis, asked, action, decision)
    return _Judged(msgspec.structs.replace(decision, approval_id=approval.id), verdict, action, gathered, approval)


def _ask_a_person(
    services: Services, basis: _Basis, asked: Asked, action: Action, decision: Decision
) -> RequestedApproval:
    wanted = ApprovalRequest(
        key=basis.key,
        agent=basis.agent,
        agent_reference=asked.action.agent_id,
        environment=asked.action.environment,
        decision=decision.id,
        action_digest=asked.action_digest,
        action_context=asked.context,
        tools=asked.action.tools,
        violations=tuple(found for found in decision.violations if isinstance(found, PolicyViolation)),
        trace_id=asked.trace_id,
        parent_span_id=asked.parent_span_id,
        session_id=asked.session_id,
        user_id=asked.user_id,
        requester=requester_of(asked.action.metadata),
        alerts_unverified=_alerts_unverified(basis, action, decision),
    )
    return request_approval(services.clock, wanted)


def _alerts_unverified(basis: _Basis, action: Action, decision: Decision) -> bool:
    """True where one of the policies that ask for the approval wants it told that it was granted and never used."""
    asking = {found.policy_id for found in decision.violations}
    judging = (policy for _, policy in basis.policies.compiled.select(action).checks)
    return any(policy.alert_on_unverified_execution for policy in judging if policy.id in asking)


async def _decide(compiled: CompiledPolicies, action: Action, facts: Facts) -> Verdict:
    if _size_hint(action) > OFF_LOOP_BYTES:
        return await asyncio.to_thread(decide, compiled, action, facts)
    if scan_bytes(compiled, action) > OFF_LOOP_BYTES:
        return await asyncio.to_thread(decide, compiled, action, facts)
    return decide(compiled, action, facts)


def _size_hint(action: Action) -> int:
    """At least what is obviously long, without walking everything."""
    return len(action.input) if isinstance(action.input, str) else 0


def _blocked(services: Services, asked: Asked, violations: tuple[Violation, ...]) -> _Judged:
    decision = Decision(
        id=_new_decision_id(services),
        outcome=Outcome.BLOCKED,
        violations=violations,
        action_digest=asked.action_digest,
        trace_id=asked.trace_id or _new_trace_id(services),
        status=TraceStatus.POLICY_BLOCKED,
    )
    return _Judged(decision, Verdict(Ruling.BLOCK), asked.action, None)


def _write(services: Services, basis: _Basis, asked: Asked, judged: _Judged, started_us: int) -> Write:
    """Everything the decision commits: itself, its counts, and the trace of an action that was stopped."""
    decision, now_us = judged.decision, services.clock.now_us()
    found = (*judged.verdict.violations, *judged.verdict.shadow)
    facts = DecisionFacts(
        key=basis.key,
        agent=basis.agent,
        agent_reference=asked.action.agent_id or None,
        environment=asked.action.environment,
        trace_id=decision.trace_id,
        decided_at_us=now_us,
        latency_us=services.clock.elapsed_us() - started_us,
        client=asked.client,
        approval=decision.approval_id,
        policies=tuple(_matched(violation) for violation in found),
    )
    charges: list[Call] = []
    calls: list[Call] = []
    events: list[NewEvent] = []
    tellings: list[Telling] = []
    organization, gathered, action = basis.key.organization, judged.gathered, judged.action
    runs = decision.outcome is not Outcome.BLOCKED
    if runs and gathered:
        asking = basis.policies.compiled.select(action).asking
        charges = charges_of(organization, gathered, action, asking)
        calls = reservation_of(
            organization,
            gathered,
            action,
            asking,
            kept=Kept(decision.id, asked.trace_id, judged.approval.id if judged.approval else None),
        )
    if gathered:
        cost, read_at_us = nano(action.cost_usd), gathered.facts.now_us
        effects = budget_effects(organization, basis.agent, gathered.held_to, cost, read_at_us, runs=runs)
        calls, events, tellings = calls + effects.calls, effects.events, effects.tellings
    if judged.approval:
        calls, events = [*calls, *judged.approval.calls], [*events, *judged.approval.events]
    stopped = decision.outcome is Outcome.BLOCKED
    traces = [_trace_of(services, basis, asked, judged, now_us)] if stopped else []
    [salt] = services.clock.salts(1)
    return Write(
        checks=basis.checks,
        charges=charges,
        calls=calls,
        traces=Traces(basis.key.organization, traces) if traces else None,
        decision=new_decision(decision, facts, salt),
        events=events,
        tellings=tellings,
    )


def _matched(violation: PolicyViolation) -> MatchedPolicy:
    return MatchedPolicy(
        mode=violation.enforcement_mode,
        policy=violation.policy_id,
        rule=violation.rule_id,
        version=violation.policy_version,
    )


def _trace_of(services: Services, basis: _Basis, asked: Asked, judged: _Judged, now_us: int) -> NewTrace:
    """The record of an action that was stopped: the SDK's adapters send none."""
    decision, action = judged.decision, judged.action
    tool = _offending_tool(basis, judged) if action.tools else None
    assert decision.trace_id is not None
    assert decision.status is not None
    stopped = StoppedAction(
        organization_id=basis.key.organization_id,
        decision=decision.id,
        trace_id=decision.trace_id,
        agent=basis.agent,
        agent_reference=action.agent_id,
        environment=action.environment,
        tool=tool,
        status=decision.status,
        error_type="PolicyBlockedError",
        message=_message_of(decision.violations[0]),
        governed=governed_by(decision),
        parent_span_id=asked.parent_span_id,
        session_id=asked.session_id,
        user_id=asked.user_id,
    )
    return stopped_trace(services, stopped, now_us)


def governed_by(decision: Decision) -> Governed:
    """What a decision says of the trace it belongs to."""
    return governed_of(decision.violations, status=decision.status, decision_id=decision.id)


def _message_of(violation: Violation | PolicyViolation) -> str:
    """Why, for the trace that leaves for Datadog: a policy's own words, but never the reason a person gave."""
    return violation.message if isinstance(violation, PolicyViolation) else f"Stopped by: {violation.policy_name}"


def _offending_tool(basis: _Basis, judged: _Judged) -> str:
    """The first tool that would have been stopped alone; the first one where it was not about a tool."""
    tools = judged.action.tools
    if len(tools) > 1 and judged.gathered:
        for tool in tools:
            alone = decide(basis.policies.compiled, replace(judged.action, tools=(tool,)), judged.gathered.facts)
            if alone.ruling is Ruling.BLOCK:
                return tool
    return tools[0]


def _known(action: Action, key: ApiKey, agent: Agent | None) -> Action:
    """The action with what the registry knows of its agent."""
    if agent is None:
        return replace(action, organization_id=key.organization_id)
    return replace(
        action,
        agent_id=agent.agent_id,
        agent_uuid=agent.id,
        agent_name=agent.name,
        environment=action.environment or agent.environment,
        organization_id=key.organization_id,
    )


async def _fail(services: Services, presented: str, asked: Asked, error: UnavailableError) -> Decision:
    """No decision can be committed: a fail_closed policy blocks all the same. Raises the error where none applies."""
    try:
        basis = await _read_basis(services, presented, asked.action, fresh=True)
        closed = fails_closed(basis.policies.compiled, _known(asked.action, basis.key, basis.agent))
    except UnavailableError:
        closed = await _remembered_to_fail_closed(services, presented)
    if not closed:
        raise error
    return _blocked(services, asked, (refuse_uncommitted(),)).decision


async def _remembered_to_fail_closed(services: Services, presented: str) -> bool:
    """Where nothing can be read either, any fail_closed policy of the organization stops the action."""
    try:
        key = await services.keys.identify(presented)
    except UnavailableError:
        return False
    policies = services.policies.remembered(key.organization)
    return policies is not None and fails_closed(policies.compiled, None)


def _new_decision_id(services: Services) -> str:
    return f"dec_{services.clock.uuid().replace('-', '')}"


def _new_trace_id(services: Services) -> str:
    return f"tr_{services.clock.uuid().replace('-', '')[:16]}"
