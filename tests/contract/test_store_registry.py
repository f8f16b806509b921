"""The statements about organizations, keys, agents and destinations, and the version that governs caches."""

from pathlib import Path

import msgspec
import pytest

from execlave_server.model.agents import Agent, AgentStatus, AutonomyLevel
from execlave_server.model.destinations import Destination, DestinationState
from execlave_server.model.organizations import ApiKey, KeyEnvironment, Organization, Role
from execlave_server.store.protocol import Call, Check, StaleError, Write, find_one

SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture
def version(acme):
    """The version of the organization now."""

    async def look() -> int:
        found = await find_one(acme.store, Organization, "find_organization", {"id": acme.id})
        return found.version

    return look


@pytest.fixture
def agent(acme):
    """The only agent of that name."""

    async def look(reference: str = "support-bot") -> Agent:
        (found,) = await acme.store.find(Agent, "agents_named", {"organization": acme.number, "reference": reference})
        return found

    return look


def run(store, statement, **parameters):
    """One statement in a commit of its own."""
    return store.commit(Write(calls=[Call(statement, parameters)]))


def status(acme, agent_uuid, wanted, reason=None, now_us=5):
    """The kill switch."""
    return Call(
        "set_agent_status",
        {
            "organization": acme.number,
            "id": agent_uuid,
            "status": wanted,
            "reason": reason,
            "salt": None,
            "now_us": now_us,
        },
    )


async def test_rows_become_structs(acme, agent):
    """Texts, enums, booleans, times and absent values arrive as the struct's types."""
    await acme.store.commit(Write(calls=[acme.registration(now_us=11, profile='{"tags":["a"]}')]))

    assert await agent() == Agent(
        id="uuid-org_acme-support-bot-production",
        organization=acme.number,
        agent_id="support-bot",
        environment="production",
        name="Support Bot",
        type="chatbot",
        platform="custom",
        status=AgentStatus.ACTIVE,
        status_reason=None,
        autonomy_level=AutonomyLevel.ACT_WITH_APPROVAL,
        idp_bound=False,
        profile='{"tags":["a"]}',
        created_at_us=11,
        updated_at_us=11,
        last_seen_at_us=None,
    )


@pytest.mark.parametrize("text", ["5", "true", "null", "1e3", ""])
async def test_texts_stay_texts(acme, agent, text):
    """A name or a reason that looks like a number, a truth value or null is still that text."""
    await acme.store.commit(Write(calls=[acme.registration(name=text)]))
    await acme.store.commit(Write(calls=[status(acme, (await agent()).id, "paused", text)]))

    found = await agent()
    assert (found.name, found.status_reason) == (text, text)


async def test_registering_again_changes_nothing(acme, agent, version):
    """The same registration leaves the agent, its times and the organization's version as they were."""
    await acme.store.commit(Write(calls=[acme.registration(now_us=1)]))
    before = (await agent(), await version())

    await acme.store.commit(Write(calls=[acme.registration(now_us=2, id="another uuid")]))

    assert (await agent(), await version()) == before


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Helper"},
        {"type": "copilot"},
        {"platform": "openai"},
        {"autonomy_level": "autonomous"},
        {"profile": '{"tags":[]}'},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_a_changed_registration_updates_the_agent(acme, agent, change):
    """Whatever a registration changes is stored, under the same identity and its first time."""
    await acme.store.commit(Write(calls=[acme.registration(now_us=1)]))
    before = await agent()

    await acme.store.commit(Write(calls=[acme.registration(now_us=2, **change)]))

    assert await agent() == msgspec.structs.replace(before, updated_at_us=2, **change)


async def test_registering_never_resumes(acme, agent):
    """A paused agent that registers again, changed or not, stays paused with its reason."""
    await acme.store.commit(Write(calls=[acme.registration()]))
    await acme.store.commit(Write(calls=[status(acme, (await agent()).id, "paused", "incident 7")]))

    for name in ("Support Bot", "Renamed"):
        await acme.store.commit(Write(calls=[acme.registration(name=name)]))

        found = await agent()
        assert (found.name, found.status, found.status_reason) == (name, AgentStatus.PAUSED, "incident 7")


async def test_registering_without_a_level_keeps_the_level(acme, agent):
    """An agent that does not say its autonomy level keeps the one it has."""
    await acme.store.commit(Write(calls=[acme.registration(autonomy_level="observe")]))

    await acme.store.commit(Write(calls=[acme.registration(autonomy_level=None, name="Renamed")]))

    assert (await agent()).autonomy_level is AutonomyLevel.OBSERVE


async def test_an_agent_is_one_for_each_environment(acme, globex):
    """The same name in another environment or organization is another agent; a UUID names exactly one."""
    calls = [
        acme.registration(environment="production"),
        acme.registration(environment="staging"),
        globex.registration(),
    ]
    await acme.store.commit(Write(calls=calls))

    async def named(tenant, reference):
        parameters = {"organization": tenant.number, "reference": reference}
        return [agent.environment for agent in await acme.store.find(Agent, "agents_named", parameters)]

    assert await named(acme, "support-bot") == ["production", "staging"]
    assert await named(globex, "support-bot") == ["production"]
    assert await named(acme, "uuid-org_acme-support-bot-staging") == ["staging"]
    assert await named(globex, "uuid-org_acme-support-bot-staging") == []


async def test_what_governs_raises_the_version(acme, agent, version):
    """A new agent, a changed name or level, a pause, a resumption and a revoked key each raise the version."""
    await acme.issue_key("key_1", b"hash")
    identity = {"organization": acme.number, "id": "key_1", "now_us": 9}
    seen = [await version()]
    await acme.store.commit(Write(calls=[acme.registration()]))
    seen.append(await version())
    uuid = (await agent()).id

    for call in (
        acme.registration(name="Renamed"),
        acme.registration(name="Renamed", autonomy_level="autonomous"),
        status(acme, uuid, "paused"),
        status(acme, uuid, "active"),
        Call("revoke_api_key", identity),
    ):
        await acme.store.commit(Write(calls=[call]))
        seen.append(await version())

    assert seen == [1, 2, 3, 4, 5, 6, 7]


async def test_what_governs_nothing_leaves_the_version(acme, globex, agent, version):
    """A heartbeat, a repeated revocation, traces, a new key and another organization's changes leave the version."""
    await acme.issue_key("key_1", b"hash")
    await acme.store.commit(Write(calls=[acme.registration()]))
    identity = {"organization": acme.number, "id": "key_1"}
    await run(acme.store, "revoke_api_key", **identity, now_us=9)
    before = await version()

    await run(acme.store, "mark_agent_seen", organization=acme.number, id=(await agent()).id, now_us=8)
    await run(acme.store, "revoke_api_key", **identity, now_us=10)
    await acme.issue_key("key_2", b"other hash")
    await acme.ingest(acme.trace("t1"))
    await globex.store.commit(Write(calls=[globex.registration()]))

    assert await version() == before
    assert (await agent()).last_seen_at_us == 8


async def test_saying_the_same_again_leaves_the_version(acme, agent, version):
    """An agent that is paused once more for the same reason is no change that a decision depends on."""
    await acme.store.commit(Write(calls=[acme.registration()]))
    pause = Write(calls=[status(acme, (await agent()).id, "paused", "incident 7")])
    await acme.store.commit(pause)
    before = await version()

    await acme.store.commit(pause)

    assert await version() == before


async def test_a_decision_is_stale_after_what_it_rests_on_changed(acme, agent):
    """What was read of an agent no longer holds after it was paused."""
    await acme.issue_key("key_1", b"hash")
    await acme.store.commit(Write(calls=[acme.registration()]))
    before = await agent()
    place = {"organization": acme.number, "reference": "support-bot"}
    decided = Check("agent_standing", place, (1, before.updated_at_us))
    await acme.store.commit(Write(checks=[decided, Check("key_standing", {"api_key": "key_1"}, (None,))]))

    await acme.store.commit(Write(calls=[status(acme, before.id, "paused")]))

    with pytest.raises(StaleError):
        await acme.store.commit(Write(checks=[decided]))


async def test_the_kill_switch_stays_in_its_organization(acme, globex, agent):
    """An agent is paused by its own organization only, and the statement says whether it was there."""
    await acme.store.commit(Write(calls=[acme.registration()]))
    uuid = (await agent()).id

    foreign = await globex.store.commit(Write(calls=[status(globex, uuid, "paused")]))
    unchanged = await agent()
    own = await acme.store.commit(Write(calls=[status(acme, uuid, "paused", "incident", now_us=5)]))

    assert foreign.rows == [[]]
    assert unchanged.status is AgentStatus.ACTIVE
    assert own.rows == [[(uuid,)]]
    paused = await agent()
    assert (paused.status, paused.status_reason, paused.updated_at_us) == (AgentStatus.PAUSED, "incident", 5)


async def test_agents_are_searched_by_id_and_name(acme, globex):
    """A search finds what contains the text, in any case, the exact id first; `%` and `_` are plain characters."""
    names = {"bot": "Zeta", "bot-2": "Alpha", "a_b": "100% sure", "axb": "Robot", "other": "Nothing"}
    await acme.store.commit(Write(calls=[acme.registration(agent_id, name=name) for agent_id, name in names.items()]))
    await globex.store.commit(Write(calls=[globex.registration("bot-9")]))

    async def search(text, limit=50, offset=0):
        matching = {"organization": acme.number, "search": text}
        found = await acme.store.find(Agent, "search_agents", {**matching, "limit": limit, "offset": offset})
        ((count,),) = await acme.store.rows("count_agents", matching)
        return [agent.agent_id for agent in found], count

    assert await search("bot") == (["bot", "axb", "bot-2"], 3)
    assert await search("BOT-2") == (["bot-2"], 1)
    assert await search("%") == (["a_b"], 1)
    assert await search("a_b") == (["a_b"], 1)
    assert await search("absent") == ([], 0)
    assert await search("", limit=2) == (["a_b", "axb"], 5)
    assert await search("", limit=2, offset=4) == (["other"], 5)


async def test_a_key_is_found_by_its_hash(acme, globex):
    """A keyed hash names one key, with its organization and that organization's version; others find nothing."""
    await acme.issue_key("key_1", b"hash", now_us=3)
    await globex.issue_key("key_2", b"other")

    assert await find_one(acme.store, ApiKey, "find_api_key", {"hash": b"hash"}) == ApiKey(
        id="key_1",
        organization=acme.number,
        organization_id="org_acme",
        name="ci",
        environment=KeyEnvironment.PRODUCTION,
        role=Role.AGENT,
        hint="1234",
        created_at_us=3,
        revoked_at_us=None,
        organization_version=1,
    )
    assert await find_one(acme.store, ApiKey, "find_api_key", {"hash": b"unknown"}) is None
    listed = await acme.store.find(ApiKey, "list_api_keys", {"organization": acme.number})
    assert [key.id for key in listed] == ["key_1"]


async def test_a_key_is_revoked_once_and_by_its_organization(acme, globex):
    """The first revocation stands with its time; another organization cannot revoke."""
    await acme.issue_key("key_1", b"hash")

    foreign = await run(acme.store, "revoke_api_key", organization=globex.number, id="key_1", now_us=4)
    first = await run(acme.store, "revoke_api_key", organization=acme.number, id="key_1", now_us=5)
    again = await run(acme.store, "revoke_api_key", organization=acme.number, id="key_1", now_us=6)

    assert (foreign.rows, first.rows, again.rows) == ([[]], [[("key_1", "prod", "agent")]], [[]])
    assert (await find_one(acme.store, ApiKey, "find_api_key", {"hash": b"hash"})).revoked_at_us == 5


async def test_a_hash_and_a_name_are_taken_once(engine, acme, globex):
    """Two keys never share a hash; two destinations share a name only in different organizations."""
    await acme.issue_key("key_1", b"hash")
    with pytest.raises(engine.violation):
        await globex.issue_key("key_2", b"hash")

    await acme.add_destination("Datadog")
    await globex.add_destination("Datadog")
    with pytest.raises(engine.violation):
        await acme.add_destination("Datadog")


async def test_destinations_are_the_organizations_own(acme, globex):
    """A destination is listed and found in its organization; the worker sees those that collect, of all of them."""
    for state in DestinationState:
        await acme.add_destination(state, state)
    await globex.add_destination("theirs")

    listed = await acme.store.find(Destination, "list_destinations", {"organization": acme.number})
    collecting = await acme.store.find(Destination, "all_destinations")
    wanted = {"organization": acme.number, "id": "dst_org_acme_held"}
    held = await find_one(acme.store, Destination, "find_destination", wanted)

    assert [destination.state for destination in listed] == list(DestinationState)
    assert [destination.name for destination in collecting] == ["enabled", "held", "theirs"]
    assert all(destination.state.collects for destination in collecting)
    assert (held.organization_id, held.sealed_key, held.candidate, held.tested_at_us) == (
        "org_acme",
        b"sealed",
        None,
        2,
    )
    assert (
        await find_one(acme.store, Destination, "find_destination", {**wanted, "organization": globex.number}) is None
    )
    named = {"organization": acme.number, "name": "held"}
    assert await acme.store.rows("find_destination_named", named) == [("dst_org_acme_held",)]
    assert await acme.store.rows("find_destination_named", {**named, "organization": globex.number}) == []


async def test_a_decision_is_recorded_with_its_facts(acme):
    """A decision is found again in its organization as it was written."""
    facts = {
        "id": "dec_1",
        "agent": None,
        "agent_reference": "support-bot",
        "environment": "production",
        "outcome": "blocked",
        "violations": "[]",
        "action_digest": "abc",
        "trace_id": None,
        "decided_at_us": 7,
        "latency_us": 9,
    }
    row = {**acme.decision("dec_1").row, **facts, "batch": None, "position": None}
    await acme.store.commit(Write(calls=[Call("insert_decision", row)]))

    wanted = {"organization": acme.number, "id": "dec_1"}
    assert await acme.store.rows("find_decision", wanted) == [tuple(facts.values())]
    assert await acme.store.rows("find_decision", {**wanted, "organization": acme.number + 1}) == []
