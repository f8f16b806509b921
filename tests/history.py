"""An organization whose traces a test writes one request after another, and the people who read them."""

import json
from dataclasses import dataclass
from typing import Any

from clocks import SettableClock
from execlave_server.actions.enforce_policy import Asked, enforce_policy
from execlave_server.actions.ingest_traces import ingest_traces
from execlave_server.actions.issue_key import issue_key
from execlave_server.actions.open_incidents import IncidentOpener
from execlave_server.actions.register_agent import Registration, register_agent
from execlave_server.api.trace_items import read_items
from execlave_server.model.agents import AgentProfile
from execlave_server.model.organizations import KeyEnvironment, Role
from execlave_server.model.people import Person
from execlave_server.policy.action import Action
from office import Office, open_office

MINUTE_US = 60_000_000


@dataclass
class History:
    """An organization with a key in clear, and the clock that its traces are received by."""

    office: Office
    key: str
    clock: SettableClock

    @property
    def ada(self) -> Person:
        """An approver."""
        return self.office.ada

    async def ingest(self, *items: dict[str, Any]) -> None:
        """One request; each item is a span of an agent in production unless it says otherwise."""
        whole = [
            {"agentId": "bot", "status": "success", "environment": "production", "traceId": "t", **item}
            for item in items
        ]
        sent, refused = read_items(json.dumps({"traces": whole}).encode())
        assert not refused
        result = await ingest_traces(self.office.services, self.key, sent)
        assert not result.refused

    async def register(self, agent_id: str = "bot", name: str = "Bot") -> None:
        """Register an agent in production."""
        registration = Registration(agent_id, name, "chatbot", "custom", "production", None, AgentProfile())
        await register_agent(self.office.services, self.office.key, registration)

    async def enforce(self, text: str = "hello", trace_id: str | None = None, agent: str = "bot") -> Any:
        """One decision."""
        action = Action(agent, text, environment="production")
        return await enforce_policy(self.office.services, self.key, Asked(action, "ab" * 32, trace_id=trace_id))

    async def enforce_cost(self, cost_usd: float, agent: str = "bot", trace_id: str | None = None) -> Any:
        """One decision about an action that is said to cost so much."""
        action = Action(agent, "hello", environment="production", estimated_cost=cost_usd)
        return await enforce_policy(self.office.services, self.key, Asked(action, "ab" * 32, trace_id=trace_id))

    async def look(self) -> int:
        """What the server's background task does, in a server that has just started."""
        return await IncidentOpener(self.office.services).look()


async def begin_history(services, clock: SettableClock, name: str = "Acme") -> History:
    """A new organization with its people and a key in clear."""
    office = await open_office(services, name)
    _, key = await issue_key(
        services, office.organization, name="h", environment=KeyEnvironment.PRODUCTION, role=Role.AGENT
    )
    return History(office, key.reveal(), clock)


def span(trace_id: str, span_id: str, parent: str | None = None, **more: Any) -> dict[str, Any]:
    """A span as the SDK sends it."""
    metadata = {"spanId": span_id, "spanName": span_id, **({"parentSpanId": parent} if parent else {})}
    return {"traceId": trace_id, "metadata": metadata, **more}
