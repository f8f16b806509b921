"""What the control channel reads: who used which agent, and which status changes are new."""

import pytest

from execlave_server.store.protocol import Call, Write


async def run(tenant, statement, **parameters):
    """One statement in a commit of its own."""
    return await tenant.store.commit(Write(calls=[Call(statement, parameters)]))


async def set_status(tenant, agent_id, status, reason=None):
    """Change an agent's status."""
    agent = f"uuid-{tenant.id}-{agent_id}-production"
    row = {"organization": tenant.number, "id": agent, "status": status, "reason": reason, "salt": None, "now_us": 9}
    await run(tenant, "set_agent_status", **row)


async def signals(tenant, after=0):
    """The changes after a position."""
    wanted = {"organization": tenant.number, "after": after, "limit": 10}
    return [(row[0], row[2], row[3]) for row in await tenant.store.rows("signals_after", wanted)]


async def note(tenant, agent_id, key="key_1", most=10, environment="production"):
    """Note that a key used an agent."""
    row = {"organization": tenant.number, "api_key": key, "agent_id": agent_id, "environment": environment}
    await run(tenant, "note_agent_use", **row, most=most)


async def users(tenant, agent_id):
    """The keys that used an agent."""
    agent = f"uuid-{tenant.id}-{agent_id}-production"
    rows = await tenant.store.rows("keys_that_used", {"organization": tenant.number, "agent": agent})
    return sorted(key for (key,) in rows)


async def register(tenant, *names):
    """Register agents."""
    await tenant.store.commit(Write(calls=[tenant.registration(name) for name in names]))


async def test_each_agent_has_its_last_change_in_order(acme, globex):
    """Changes are numbered within their organization; an agent that changes again moves to the end."""
    for tenant in (acme, globex):
        await register(tenant, "a", "b")
    await set_status(acme, "a", "paused")
    await set_status(acme, "b", "paused")
    await set_status(globex, "b", "inactive")
    before = await signals(acme)
    await set_status(acme, "a", "active")

    assert before == [(1, "a", "paused"), (2, "b", "paused")]
    assert await signals(acme) == [(2, "b", "paused"), (3, "a", "active")]
    assert await signals(acme, after=2) == [(3, "a", "active")]
    assert await signals(globex) == [(1, "b", "inactive")]
    assert await acme.store.rows("newest_signal", {"organization": acme.number}) == [(3,)]


async def test_what_is_no_change_of_status_is_no_signal(acme):
    """A new name, a heartbeat, the same status again, a registration: nothing to push."""
    await register(acme, "a")
    await acme.store.commit(Write(calls=[acme.registration("a", name="Renamed", now_us=5)]))
    await set_status(acme, "a", "active", "again")
    agent = f"uuid-{acme.id}-a-production"
    await run(acme, "mark_agent_seen", organization=acme.number, id=agent, now_us=6)

    assert await signals(acme) == []
    assert await acme.store.rows("newest_signal", {"organization": acme.number}) == [(0,)]


async def test_a_pair_is_noted_once_and_so_many_at_the_most(acme, globex, read):
    """An agent not registered is not noted; past a key's limit nothing more; each organization for itself."""
    for tenant in (acme, globex):
        await register(tenant, "a", "b")
    for _ in range(2):
        await note(acme, "a")
    await note(acme, "b", most=1)
    await note(acme, "b", key="key_2", most=1)
    await note(acme, "nobody")
    await note(acme, "a", environment="staging")

    assert await users(acme, "a") == ["key_1"]
    assert await users(acme, "b") == ["key_2"]
    assert await users(globex, "a") == []
    assert await read("select count(*) from key_agents") == [(2,)]


async def test_a_resolution_never_changes(acme, read):
    """The database itself refuses to write over one."""
    row = {
        "id": "r1",
        "organization": acme.number,
        "trace_id": "t1",
        "resolved_status": "success",
        "basis": "manual",
        "effect_ref": None,
        "acknowledgement_id": None,
        "detail": None,
        "observed_at_us": 1,
        "api_key": "key_1",
        "recorded_at_us": 2,
    }
    await run(acme, "insert_resolution", **row)
    with pytest.raises(Exception, match="a resolution is never changed"):
        await read("update trace_resolutions set resolved_status = 'error'")

    assert await read("select resolved_status from trace_resolutions") == [("success",)]
