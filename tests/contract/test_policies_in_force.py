"""Policies on every engine: in force on every server at once, their shadow, and stored traces through drafts."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from clocks import SettableClock
from execlave_server.actions.ask_validator import Validators
from execlave_server.actions.edit_policy import change_policy, create_policy, delete_policy, patch_policy
from execlave_server.actions.enforce_policy import Asked, enforce_policy
from execlave_server.actions.estimate_cost import CostEstimator
from execlave_server.actions.identify_caller import KeyRing
from execlave_server.actions.issue_key import create_organization, issue_key
from execlave_server.actions.lint_policies import lint_policies
from execlave_server.actions.reach_validator import ValidatorConnector
from execlave_server.actions.read_agents import AgentRegistry
from execlave_server.actions.read_policies import PolicyBook
from execlave_server.actions.read_shadow import read_shadow
from execlave_server.actions.replay_policies import replay_policies
from execlave_server.actions.services import Services
from execlave_server.actions.sync_policies import Change, plan_policies, sync_policies
from execlave_server.actions.watch_disk import DiskWatch
from execlave_server.datadog.connection import DatadogConnector
from execlave_server.errors import ConflictError, NotFoundError
from execlave_server.model.decisions import Outcome
from execlave_server.model.organizations import KeyEnvironment, Organization, Role
from execlave_server.model.policies import parse_policy
from execlave_server.model.secret import Secret
from execlave_server.policy.action import Action
from execlave_server.settings import Settings
from execlave_server.store.disk import FolderDisk, Reserve
from execlave_server.store.protocol import Store
from execlave_server.vault.envelope import Vault
from execlave_server.vault.key_encryption_key import create_key_file, open_key_file
from validator_server import Answer, ValidatorServer, make_certificates, says

ALLOWED, BLOCKED = Outcome.ALLOWED, Outcome.BLOCKED


def policy_body(tool: str = "wipe_*", mode: str = "block", **more: Any) -> bytes:
    """A policy that denies a tool."""
    rule = {"denied_tools": [tool]}
    said = {"name": "No wiping", "policyType": "access_control", "enforcementMode": mode, "ruleDefinition": rule}
    return json.dumps({**said, **more}).encode()


@asynccontextmanager
async def serving(store: Store, clock: SettableClock, folder: Path, ca_file: str = "") -> AsyncIterator[Services]:
    """A server's services on a store."""
    settings = Settings(data_dir=folder, validator_allow="127.0.0.1", validator_ca_file=ca_file)
    pepper = Secret("pepper")
    connector = ValidatorConnector(settings)
    disk, key = FolderDisk(folder), folder / "kek"
    if not key.exists():
        create_key_file(key)
    vault = Vault(open_key_file(key))
    try:
        yield Services(
            store=store,
            clock=clock,
            settings=settings,
            vault=vault,
            keys=KeyRing(store, pepper, clock),
            agents=AgentRegistry(store),
            policies=PolicyBook(store),
            costs=CostEstimator(),
            datadog=DatadogConnector(settings),
            validators=Validators(connector, pepper, clock),
            disk=DiskWatch(disk, Reserve(folder / "reserve", 0, disk), 0),
        )
    finally:
        await connector.close()


@pytest.fixture
async def services(store, clock, tmp_path) -> AsyncIterator[Services]:
    """One server."""
    async with serving(store, clock, tmp_path) as one:
        yield one


async def agent_key(services: Services, organization: Organization) -> str:
    """An agent's key."""
    _, key = await issue_key(services, organization, name="", environment=KeyEnvironment.PRODUCTION, role=Role.AGENT)
    return key.reveal()


async def wipe(services: Services, key: str) -> Outcome:
    """What becomes of the action that the policy is about."""
    return (await enforce_policy(services, key, Asked(Action("bot", "go", tools=("wipe_disk",)), "0" * 64))).outcome


async def test_a_change_holds_on_another_server_with_its_very_next_decision(opened, clock, tmp_path):
    """What one server creates, changes and deletes, another that had read the policies before decides by at once."""
    async with (
        opened() as one,
        opened() as two,
        serving(one, clock, tmp_path) as here,
        serving(two, clock, tmp_path) as there,
    ):
        organization = await create_organization(here, "Acme")
        number, key = organization.number, await agent_key(here, organization)
        seen = [await wipe(there, key)]
        made = await create_policy(here, number, "test", policy_body())
        seen.append(await wipe(there, key))
        await patch_policy(here, number, "test", made.id, b'{"isActive": false}')
        seen.append(await wipe(there, key))
        await change_policy(here, number, "test", made.id, policy_body())
        seen.append(await wipe(there, key))
        await delete_policy(here, number, "test", made.id)
        seen.append(await wipe(there, key))

    assert seen == [ALLOWED, BLOCKED, ALLOWED, BLOCKED, ALLOWED]


async def test_of_two_changes_on_one_version_one_is_refused(opened, clock, tmp_path):
    """A change that rests on a version somebody else replaced meanwhile is a conflict, and loses nothing silently."""
    async with (
        opened() as one,
        opened() as two,
        serving(one, clock, tmp_path) as here,
        serving(two, clock, tmp_path) as there,
    ):
        number = (await create_organization(here, "Acme")).number
        made = await create_policy(here, number, "test", policy_body())
        patches = [b'{"enforcementMode": "warn"}', b'{"failureMode": "fail_closed"}']
        done = await asyncio.gather(
            *(
                patch_policy(each, number, "test", made.id, patch)
                for each, patch in zip((here, there), patches, strict=True)
            ),
            return_exceptions=True,
        )
        refused = [each for each in done if isinstance(each, ConflictError)]
        (stored,) = await here.store.rows("live_policies", {"organization": number})

    assert stored[1] == 3 - len(refused)


async def test_a_decision_made_again_asks_its_validator_once(store, clock, tmp_path):
    """Policies that change while a validator thinks make the decision anew, on what it said the first time."""
    make_certificates(tmp_path)
    loop = asyncio.get_running_loop()
    with ValidatorServer(tmp_path).running() as validator:
        async with serving(store, clock, tmp_path, validator.ca_file) as here:
            organization = await create_organization(here, "Acme")
            number, key = organization.number, await agent_key(here, organization)

            def change_meanwhile(_question: object) -> Answer:
                changing = create_policy(here, number, "test", policy_body("other", name=str(len(validator.asked))))
                asyncio.run_coroutine_threadsafe(changing, loop).result()
                return says("deny")

            validator.answer = change_meanwhile
            rule = {"url": validator.literal_url}
            await create_policy(here, number, "test", policy_body(policyType="custom_validator", ruleDefinition=rule))
            outcome = await wipe(here, key)

    assert (outcome, len(validator.asked)) == (BLOCKED, 1)


async def test_shadow_counts_what_a_monitor_saw(services):
    """Only this policy's words, only in the hours asked for, and nothing of another organization."""
    organization, other = [await create_organization(services, name) for name in ("Acme", "Globex")]
    number, key = organization.number, await agent_key(services, organization)
    watched = await create_policy(services, number, "test", policy_body(mode="monitor"))
    blocking = await create_policy(services, number, "test", policy_body("wipe_d*", name="Other"))
    for _ in range(3):
        assert await wipe(services, key) is BLOCKED
    await delete_policy(services, number, "test", blocking.id)
    assert await wipe(services, key) is ALLOWED
    services.clock.advance(seconds=7_200)
    assert await wipe(services, key) is ALLOWED
    day, hour = [await read_shadow(services, number, watched.id, hours) for hours in (24, 1)]

    assert (day.decisions, day.matched, day.let_go, dict(day.modes)) == (5, 5, 2, {"monitor": 5})
    assert (hour.decisions, hour.matched) == (1, 1)
    assert [example.decided_at_us for example in day.examples] == sorted(
        (example.decided_at_us for example in day.examples), reverse=True
    )
    with pytest.raises(NotFoundError):
        await read_shadow(services, other.number, watched.id, 24)


async def test_sync_makes_the_policies_those_of_the_files(services):
    """Planned, taken and planned again, nothing is left to do; only `delete` takes what no file names."""
    number = (await create_organization(services, "Acme")).number
    await create_policy(services, number, "test", policy_body(name="Old"))
    await create_policy(services, number, "test", policy_body(mode="warn"))
    wanted = lint_policies([("a.json", policy_body()), ("b.json", policy_body(name="New"))]).policies
    plans = []
    for _ in range(2):
        steps = await plan_policies(services, number, wanted, delete=True)
        plans.append([(step.change, step.name) for step in steps])
        done = [each async for each in sync_policies(services, number, steps)]

    assert plans[0] == [(Change.DELETE, "Old"), (Change.CHANGE, "No wiping"), (Change.CREATE, "New")]
    assert plans[1] == [(Change.KEEP, "New"), (Change.KEEP, "No wiping")]
    assert done == []


async def test_stored_traces_run_through_a_draft(services, acme, globex):
    """Every trace of the span and the organization is judged once, in pages, and what differs is named."""
    organization = Organization(acme.number, acme.id, "Acme", 1, 1)
    item = b'{"traceId":"%b","status":"success","agentId":"bot","metadata":{"spanKind":"tool","spanName":"%b"}}'
    start = services.clock.now_us()
    for number in range(7):
        names = [(f"t{number}-{each}", b"wipe_x" if each % 2 else b"read") for each in range(50)]
        await acme.ingest(*(acme.trace(name, item=item % (name.encode(), tool)) for name, tool in names))
        await globex.ingest(globex.trace(f"g{number}", item=item % (b"g", b"wipe_x")))
        services.clock.advance(seconds=60)
    await acme.ingest(acme.trace("bad", item=b'{"not":"a trace"}'))
    drafts = [parse_policy(policy_body()), parse_policy(policy_body("read", "monitor", name="Reading"))]
    seen: list[tuple[int, int]] = []
    replayed = await replay_policies(
        services, organization, drafts, from_us=start + 60_000_000, report=lambda *told: seen.append(told)
    )
    limited = await replay_policies(services, organization, drafts, from_us=start, traces_max=120)

    first, second = replayed.comparisons
    assert (replayed.traces, replayed.complete, replayed.unreadable) == (301, True, 1)
    assert (first.said, first.stricter, len(first.stricter_examples)) == ({"block": 150}, 150, 5)
    assert second.said == {"monitor": 150}
    assert seen[-1] == (301, 301)
    assert (limited.traces, limited.complete) == (120, False)


async def test_a_draft_budget_is_simulated(services, acme):
    """Money of stored traces adds up as it would have: the action that passes the cap and those after it differ."""
    organization = Organization(acme.number, acme.id, "Acme", 1, 1)
    item = b'{"traceId":"%b","status":"success","agentId":"bot","costUsd":1.0}'
    start = services.clock.now_us()
    await acme.ingest(*(acme.trace(f"t{number}", item=item % f"t{number}".encode()) for number in range(6)))
    rule = {"cap_usd": 4.0, "window": "1mo"}
    draft = parse_policy(policy_body(policyType="budget_cap", ruleDefinition=rule))
    (compared,) = (await replay_policies(services, organization, [draft], from_us=start)).comparisons

    assert compared.said == {"block": 2}
    assert compared.stricter_examples == ["t4", "t5"]
