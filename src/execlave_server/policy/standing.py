"""Who may act at all, before any policy is asked."""

from execlave_server.model.agents import Agent
from execlave_server.model.decisions import Violation
from execlave_server.model.organizations import ApiKey


def check_agent(agent: Agent | None) -> Violation | None:
    """A stopped agent may do nothing. One that is not registered is judged by policies alone."""
    if agent is None or not agent.status.stops_actions:
        return None
    because = f": {agent.status_reason}" if agent.status_reason else ""
    return Violation(
        policy_id="agent_status",
        policy_name="Agent status",
        policy_type="agent_status",
        rule_id="agent_status",
        message=f"The agent {agent.agent_id} is {agent.status}{because}",
        severity="critical",
        remediation="Resume the agent when it may act again.",
        retryable=True,
    )


def check_key(key: ApiKey) -> Violation | None:
    """A revoked key authorizes nothing."""
    if key.revoked_at_us is None:
        return None
    return Violation(
        policy_id="api_key_revoked",
        policy_name="API key",
        policy_type="api_key",
        rule_id="api_key",
        message=f"The API key ending in {key.hint} was revoked",
        severity="critical",
        remediation="Give the agent a new API key.",
    )


def refuse_request(code: str, message: str) -> Violation:
    """A request that cannot be judged does not run."""
    return Violation(
        policy_id=code.lower(),
        policy_name="Request",
        policy_type="request",
        rule_id="request",
        message=message,
        remediation="Correct the request; it was not judged.",
    )


def refuse_uncommitted() -> Violation:
    """A decision that cannot be recorded stops the action where a policy fails closed."""
    return Violation(
        policy_id="unavailable",
        policy_name="Enforcement",
        policy_type="unavailable",
        rule_id="uncommitted",
        message="The decision could not be recorded, and a policy is set to fail closed",
        severity="high",
        remediation="Try again when the server can commit.",
        retryable=True,
    )
