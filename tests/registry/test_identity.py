"""Identity providers and bindings: one agent per subject, seen in the registry, on record."""

import asyncio

import pytest


@pytest.fixture
async def provider(node) -> str:
    """A provider's id."""
    body = {"tenantId": "11111111-2222-3333-4444-555555555555", "audience": "api://execlave"}
    return (await node.admin("POST", "/identity-providers", body)).data["id"]


async def bind(node, agent, provider, subject="oid-1"):
    """Bind an agent."""
    body = {"providerId": provider, "subject": subject}
    return await node.admin("PUT", f"/agents/{agent['id']}/identity-binding", body)


async def is_bound(node, agent) -> bool:
    """What the registry says."""
    return (await node.ask("GET", f"/agents/{agent['id']}")).data["idpBound"]


async def test_a_binding_is_seen_in_the_registry_and_in_the_log(node, provider):
    """Bound, the agent's `idpBound` and its logs' `idp_bound` are true; unbound, false again."""
    agent = await node.register()
    before = await is_bound(node, agent)
    bound = await bind(node, agent, provider)
    item = {"traceId": "t1", "status": "success", "agentId": agent["agentId"]}
    await node.ask("POST", "/traces/ingest", {"traces": [item]})
    during = await is_bound(node, agent)
    read = await node.admin("GET", f"/agents/{agent['agentId']}/identity-binding")
    removed = await node.admin("DELETE", f"/agents/{agent['agentId']}/identity-binding")
    after = await is_bound(node, agent)
    ((log,),) = await node.read("select log from traces")

    assert [before, during, after] == [False, True, False]
    assert bound.status == removed.status == 200
    assert read.data == bound.data
    assert (bound.data["providerId"], bound.data["subject"]) == (provider, "oid-1")
    assert b'"idp_bound":true' in bytes(log)
    assert (await node.admin("GET", f"/agents/{agent['id']}/identity-binding")).code == "NOT_FOUND"
    assert (await node.admin("DELETE", f"/agents/{agent['id']}/identity-binding")).code == "NOT_FOUND"


async def test_one_subject_is_one_agent(node, provider):
    """A second agent is refused a subject that is taken, and nothing of it is kept; another subject is free."""
    one, two = await node.register(), await node.register()
    await bind(node, one, provider)
    taken = await bind(node, two, provider)
    state = await is_bound(node, two)
    free = await bind(node, two, provider, "oid-2")
    swapped = await bind(node, one, provider, "oid-2")
    again = await bind(node, one, provider)

    assert (taken.status, taken.code) == (409, "CONFLICT")
    assert not state
    assert (free.status, swapped.status, again.status) == (200, 409, 200)


async def test_two_that_want_one_subject_at_the_same_moment(node, provider):
    """Exactly one gets it."""
    agents = [await node.register() for _ in range(6)]
    answers = await asyncio.gather(*(bind(node, agent, provider) for agent in agents))
    bound = [await is_bound(node, agent) for agent in agents]

    assert sorted(answer.status for answer in answers) == [200] + [409] * 5
    assert bound.count(True) == 1


async def test_providers_are_listed_once_each_and_stay_while_in_use(node, provider):
    """The same tenant and audience twice is a conflict; a provider in use is not removed, one that is not is."""
    body = {"tenantId": "11111111-2222-3333-4444-555555555555", "audience": "api://execlave"}
    twice = await node.admin("POST", "/identity-providers", body)
    agent = await node.register()
    await bind(node, agent, provider)
    used = await node.admin("DELETE", f"/identity-providers/{provider}")
    await node.admin("DELETE", f"/agents/{agent['id']}/identity-binding")
    listed = await node.admin("GET", "/identity-providers")
    removed = await node.admin("DELETE", f"/identity-providers/{provider}")
    gone = await node.admin("DELETE", f"/identity-providers/{provider}")

    assert (twice.status, used.status, removed.status, gone.status) == (409, 409, 200, 404)
    assert [each["id"] for each in listed.data] == [provider]


async def test_only_an_administrator_binds_and_each_change_is_on_record(node, provider):
    """An agent key may not; the chain has an entry for each change."""
    agent = await node.register()
    path = f"/agents/{agent['id']}/identity-binding"
    refused = await node.ask("PUT", path, {"providerId": provider, "subject": "s"})
    await bind(node, agent, provider)
    await node.admin("DELETE", path)
    changes = [(entry.subject, details["names"]) for entry, details in await node.entries("settings.changed")]

    assert refused.status == 403
    assert changes == [
        (f"identity-provider:{provider}", ["identityProvider"]),
        (f"agent:{agent['id']}", ["identityBinding"]),
        (f"agent:{agent['id']}", ["identityBinding"]),
    ]


async def test_what_is_not_valid_is_refused(node):
    """A provider needs tenant and audience; a binding a provider of this organization and a subject."""
    agent = await node.register()
    for body in ({}, {"tenantId": "", "audience": "a"}, {"tenantId": "t"}, {"tenantId": "t" * 257, "audience": "a"}):
        answer = await node.admin("POST", "/identity-providers", body)
        assert (answer.status, answer.code) == (400, "VALIDATION_ERROR"), body
    unknown = await bind(node, agent, "idp_nobody")
    empty = await node.admin("PUT", f"/agents/{agent['id']}/identity-binding", {"providerId": "p", "subject": ""})

    assert (unknown.status, empty.status) == (404, 400)
