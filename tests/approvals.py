"""Approvals as an enforce call asks for them, committed together with their decision."""

import json
from typing import Any

from msgspec import Raw

from execlave_server.actions.record_decision import DecisionFacts, new_decision
from execlave_server.actions.request_approval import ApprovalRequest, request_approval
from execlave_server.actions.services import Services
from execlave_server.model.action_context import digest_context, seal_context
from execlave_server.model.agents import Agent
from execlave_server.model.approvals import requester_of
from execlave_server.model.decisions import Decision, Outcome
from execlave_server.model.organizations import ApiKey
from execlave_server.model.policies import EnforcementMode, PolicyType
from execlave_server.model.verdicts import PolicyViolation
from execlave_server.store.protocol import Write

ACTION: dict[str, Any] = {"input": "refund é", "environment": "production", "estimatedCost": 1.5, "tools": ["refund"]}
VIOLATION = PolicyViolation(
    policy_id="pol_1",
    policy_name="Refunds",
    policy_version=1,
    policy_type=PolicyType.ACTION_APPROVAL,
    rule_id="tools",
    severity="high",
    message="A person decides",
    remediation="Wait for the decision.",
    retryable=True,
    enforcement_mode=EnforcementMode.REQUIRE_APPROVAL,
)


def digest_of(action: dict[str, Any]) -> str:
    """The digest of an action context, as a client would present it."""
    return digest_context(seal_context({name: Raw(json.dumps(value).encode()) for name, value in action.items()}))


async def ask_approval(
    services: Services, key: ApiKey, *, action: dict[str, Any] = ACTION, agent: Agent | None = None, alerts: bool = True
) -> str:
    """A decision that waits for a person, with its approval and its audit entry in one commit; the approval's id."""
    context = seal_context({name: Raw(json.dumps(value).encode()) for name, value in action.items()})
    decision_id = f"dec_{services.clock.uuid().replace('-', '')}"
    requested = request_approval(
        services.clock,
        ApprovalRequest(
            key=key,
            agent=agent,
            agent_reference=agent.agent_id if agent else "bot",
            environment=action["environment"],
            decision=decision_id,
            action_digest=digest_context(context),
            action_context=context,
            tools=tuple(action.get("tools", ())),
            violations=(VIOLATION,),
            trace_id="tr_1",
            requester=requester_of(action.get("metadata")),
            alerts_unverified=alerts,
        ),
    )
    facts = DecisionFacts(
        key=key,
        agent=agent,
        agent_reference="bot",
        environment=action["environment"],
        trace_id="tr_1",
        decided_at_us=services.clock.now_us(),
        latency_us=1,
        approval=requested.id,
    )
    decision = Decision(decision_id, Outcome.APPROVAL_REQUIRED, (), digest_context(context))
    [salt] = services.clock.salts(1)
    await services.store.commit(
        Write(calls=requested.calls, decision=new_decision(decision, facts, salt), events=requested.events)
    )
    return requested.id
