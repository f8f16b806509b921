"""Two servers that register one agent at the same time give it one bundle of policies, on every engine."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from execlave_server.actions.issue_key import create_organization, issue_key, list_keys
from execlave_server.actions.read_agents import AgentRegistry
from execlave_server.actions.read_policies import PolicyBook, list_policies
from execlave_server.actions.register_agent import Registration, register_agent
from execlave_server.actions.services import Services
from execlave_server.app.installation import initialise, open_services
from execlave_server.clock import SystemClock
from execlave_server.model.agents import AgentProfile, AutonomyLevel
from execlave_server.model.organizations import KeyEnvironment, Role
from execlave_server.policy.tiers import BUNDLES
from execlave_server.settings import Settings

TOGETHER = 4  # on each node


@pytest.fixture
async def nodes(engine, tmp_path) -> AsyncIterator[Sequence[Services]]:
    """The services of two servers on one database."""
    clock = SystemClock()
    settings = Settings(data_dir=tmp_path / "installation", kek=f"file:{tmp_path / 'kek'}")
    await initialise(settings, clock)
    async with AsyncExitStack() as opened:
        services = await opened.enter_async_context(open_services(settings, clock))
        stores = [await engine.create(tmp_path, clock), await engine.open(tmp_path, clock)]
        for store in stores:
            opened.push_async_callback(store.close)
        yield [
            replace(services, store=store, agents=AgentRegistry(store), policies=PolicyBook(store)) for store in stores
        ]


def registration(level: AutonomyLevel | None) -> Registration:
    """What the agent says of itself."""
    return Registration("bot", "Bot", "chatbot", "custom", "production", level, AgentProfile())


async def test_registered_at_once_on_two_nodes(nodes):
    """At first, and with each change of the level: the bundle is there once, whoever came first."""
    organization = await create_organization(nodes[0], "Acme")
    await issue_key(nodes[0], organization, name="", environment=KeyEnvironment.PRODUCTION, role=Role.ADMIN)
    [key] = await list_keys(nodes[0], organization)
    for level in (AutonomyLevel.ADVISE, AutonomyLevel.AUTONOMOUS, AutonomyLevel.OBSERVE):
        agents = await asyncio.gather(
            *(register_agent(node, key, registration(level)) for node in nodes for _ in range(TOGETHER))
        )
        found = await list_policies(nodes[1].store, organization.number)

        assert len({agent.id for agent in agents}) == 1
        assert sorted(one.policy.policy_type for one in found) == sorted(one.policy_type for one in BUNDLES[level])
        assert {one.policy.metadata["tier"] for one in found} == {level}
