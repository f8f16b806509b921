"""Before an agent acts: decide, record the decision, answer."""

from collections.abc import Sequence

import msgspec

from execlave_server.actions.read_agents import standing_checks
from execlave_server.actions.record_decision import DecisionFacts, new_decision
from execlave_server.actions.services import Services
from execlave_server.errors import UnavailableError
from execlave_server.model.agents import Agent, resolve_agent
from execlave_server.model.decisions import Decision, Outcome, Violation
from execlave_server.model.organizations import ApiKey
from execlave_server.policy.standing import check_agent, check_key
from execlave_server.store.protocol import Check, StaleError, Write

DECIDE_AGAIN_MAX = 5  # each time means that the registry changed between reading and committing


class EnforceRequest(msgspec.Struct, frozen=True):
    """What is asked. `action_digest` is the SHA-256 of the canonical action context."""

    agent: str
    environment: str | None
    trace_id: str | None
    action_digest: str


async def enforce_policy(services: Services, presented: str, request: EnforceRequest) -> Decision:
    """Decide, and commit the decision together with the proof that nothing it rests on has changed.

    Raises UnauthorizedError for a key never issued, UnavailableError when the decision cannot be committed.
    """
    started_us = services.clock.elapsed_us()
    for attempt in range(DECIDE_AGAIN_MAX):
        key = await services.keys.identify(presented, fresh=attempt > 0)
        named = await services.agents.named(key, [request.agent], fresh=attempt > 0)
        agent = resolve_agent(named[request.agent], request.agent, request.environment)
        violations = tuple(found for found in (check_key(key), check_agent(agent)) if found)
        decision = _decide(services, violations, request.action_digest)
        facts = _facts(services, request, key=key, agent=agent, started_us=started_us)
        try:
            await _record(services, decision, facts, standing_checks(key, named))
        except StaleError:
            continue
        return decision
    raise UnavailableError("This agent changes in the registry faster than a decision can be committed. Try again.")


async def refuse_action(services: Services, key: ApiKey, violation: Violation, body_digest: str) -> Decision:
    """Record that a request which could not be judged was refused."""
    started_us = services.clock.elapsed_us()
    decision = _decide(services, (violation,), body_digest)
    request = EnforceRequest(agent="", environment=None, trace_id=None, action_digest=body_digest)
    facts = _facts(services, request, key=key, agent=None, started_us=started_us)
    await _record(services, decision, facts, [])
    return decision


def _decide(services: Services, violations: tuple[Violation, ...], action_digest: str) -> Decision:
    outcome = Outcome.BLOCKED if violations else Outcome.ALLOWED
    return Decision(f"dec_{services.clock.uuid().replace('-', '')}", outcome, violations, action_digest)


def _facts(
    services: Services, request: EnforceRequest, *, key: ApiKey, agent: Agent | None, started_us: int
) -> DecisionFacts:
    return DecisionFacts(
        key=key,
        agent=agent,
        agent_reference=request.agent or None,
        environment=request.environment,
        trace_id=request.trace_id,
        decided_at_us=services.clock.now_us(),
        latency_us=services.clock.elapsed_us() - started_us,
    )


async def _record(services: Services, decision: Decision, facts: DecisionFacts, checks: Sequence[Check]) -> None:
    [salt] = services.clock.salts(1)
    await services.store.commit(Write(checks=checks, decision=new_decision(decision, facts, salt)))
