"""A decision on its way into the store: its row, and its leaf in the batch's tree."""

import msgspec
from msgspec import Struct

from execlave_server.audit.records import DecisionRecord, MatchedPolicy, decision_content, leaf_of
from execlave_server.model.agents import Agent
from execlave_server.model.decisions import Decision
from execlave_server.model.organizations import ApiKey
from execlave_server.store.protocol import NewDecision, Value


class DecisionFacts(Struct, frozen=True):
    """What was asked, by whom, and when it was answered. `agent_reference` is the name the caller used."""

    key: ApiKey
    agent: Agent | None
    agent_reference: str | None
    environment: str | None
    trace_id: str | None
    decided_at_us: int
    latency_us: int
    client: str | None = None
    approval: str | None = None
    policies: tuple[MatchedPolicy, ...] = ()


def new_decision(decision: Decision, facts: DecisionFacts, salt: bytes) -> NewDecision:
    """The decision as the store takes it."""
    violations = msgspec.json.encode(decision.violations).decode()
    record = DecisionRecord(
        agent=facts.agent.id if facts.agent else None,
        agent_reference=facts.agent_reference,
        api_key=facts.key.id,
        approval=facts.approval,
        client=facts.client,
        content=decision_content(salt, decision.action_digest, violations),
        decided_at_us=facts.decided_at_us,
        decision_id=decision.id,
        environment=facts.environment,
        latency_us=facts.latency_us,
        organization=facts.key.organization_id,
        outcome=decision.outcome,
        policies=facts.policies,
        trace_id=facts.trace_id,
    )
    row: dict[str, Value] = {
        "id": decision.id,
        "organization": facts.key.organization,
        "api_key": facts.key.id,
        "agent": record.agent,
        "agent_reference": facts.agent_reference,
        "environment": facts.environment,
        "outcome": decision.outcome,
        "violations": violations,
        "policies": msgspec.json.encode(facts.policies).decode(),
        "approval": facts.approval,
        "client": facts.client,
        "action_digest": decision.action_digest,
        "trace_id": facts.trace_id,
        "decided_at_us": facts.decided_at_us,
        "latency_us": facts.latency_us,
        "salt": salt,
    }
    return NewDecision(facts.key.organization, row, leaf_of(record))
