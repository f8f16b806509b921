"""One server's actions on a store of either engine, for tests of budgets."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from execlave_server.actions.edit_budget import create_budget
from execlave_server.actions.enforce_policy import Asked, enforce_policy
from execlave_server.actions.govern_agent import set_agent_status
from execlave_server.actions.ingest_traces import IngestResult, ingest_traces
from execlave_server.actions.issue_key import create_organization, issue_key
from execlave_server.actions.register_agent import Registration, register_agent
from execlave_server.actions.services import Services
from execlave_server.api.trace_items import read_items
from execlave_server.clock import Clock
from execlave_server.model.agents import Agent, AgentProfile, AgentStatus
from execlave_server.model.budgets import BudgetAction, BudgetScope, BudgetTerms
from execlave_server.model.decisions import Decision
from execlave_server.model.organizations import ApiKey, KeyEnvironment, Role
from execlave_server.model.policy_rules import Window
from execlave_server.policy.action import Action
from execlave_server.store.protocol import Store
from office import services_on

NANO = 1_000_000_000
Read = Callable[[str], Awaitable[list[tuple[Any, ...]]]]


@dataclass
class BudgetRig:
    """A server: its services, and a key of the organization."""

    services: Services
    number: int
    key: ApiKey
    presented: str
    read: Read

    async def register(self, agent_id: str) -> Agent:
        """A new agent in production."""
        said = Registration(agent_id, agent_id, "chatbot", "custom", "production", None, AgentProfile())
        return await register_agent(self.services, self.key, said)

    async def resume(self, agent_id: str) -> None:
        """Let a paused agent act again."""
        await set_agent_status(self.services, self.key, agent_id, AgentStatus.ACTIVE, None)

    async def rule(self, cap_usd: float, action: str = "block", scope: str = "org", **more: Any) -> str:
        """A budget rule of a day where nothing else is said; its id."""
        terms = BudgetTerms(
            scope=BudgetScope(scope),
            window=Window(more.pop("window", "1d")),
            cap_usd=cap_usd,
            action=BudgetAction(action),
            **more,
        )
        return (await create_budget(self.services, self.number, "key:test", terms)).id

    async def ask(self, cost: float | None = None, agent: str = "support-bot", **metadata: Any) -> Decision:
        """Ask to act at an estimated cost."""
        action = Action(agent, "hello", environment="production", estimated_cost=cost, metadata=metadata)
        asked = Asked(action, "00" * 32, trace_id=metadata.get("traceId"), user_id=metadata.get("userId"))
        return await enforce_policy(self.services, self.presented, asked)

    async def send(self, *items: dict[str, Any]) -> IngestResult:
        """Send traces."""
        given = [{"agentId": "support-bot", "environment": "production", "status": "success", **item} for item in items]
        sent, refused = read_items(json.dumps({"traces": given}).encode())
        assert not refused
        return await ingest_traces(self.services, self.presented, sent)

    async def money(self, scope: str = "org", window: str = "1d") -> tuple[float, float]:
        """US dollars used and reserved in the meters of a scope and window, all windows of it together."""
        rows = await self.read(
            f"select used, reserved from meters where meter like 'spend:{scope}:%:{window}:%' "  # noqa: S608 - a test's
            f"and organization = {self.number}"
        )
        return sum(used for used, _ in rows) / NANO, sum(reserved for _, reserved in rows) / NANO

    async def events(self, kind: str) -> int:
        """How many entries of a kind the audit chain has."""
        wanted = {"organization": self.number, "after": 0, "limit": 10_000}
        return sum(row[2] == kind for row in await self.services.store.rows("audit_entries", wanted))


async def open_rig(store: Store, clock: Clock, folder: Path, read: Read) -> BudgetRig:
    """A server with a new organization."""
    services = services_on(store, clock, folder)
    organization = await create_organization(services, "Acme")
    _, key = await issue_key(services, organization, name="", environment=KeyEnvironment.PRODUCTION, role=Role.ADMIN)
    return BudgetRig(services, organization.number, await services.keys.identify(key.reveal()), key.reveal(), read)


def beside(rig: BudgetRig, store: Store, clock: Clock, folder: Path) -> BudgetRig:
    """Another server of the same organization, on a store of its own."""
    return BudgetRig(services_on(store, clock, folder), rig.number, rig.key, rig.presented, rig.read)
