"""Grants from agent to agent: what is not granted is denied."""

import asyncio


async def may(node, caller, callee, action="read"):
    """Ask whether a call is authorized."""
    body = {"callerAgentId": caller["agentId"], "calleeAgentId": callee["id"], "action": action}
    return await node.ask("POST", "/agents/authorize", body)


async def grant(node, caller, callee, *actions, **more):
    """Grant actions."""
    body = {"calleeAgentId": callee["agentId"], "allowedActions": list(actions), **more}
    return await node.admin("POST", f"/agents/{caller['id']}/grants", body)


async def test_what_is_granted_is_authorized_and_nothing_else(node):
    """One direction, the actions named, between these two: 200 with the grant; anything else 403."""
    one, two, three = [await node.register() for _ in range(3)]
    before = await may(node, one, two)
    granted = await grant(node, one, two, "read", "invoke", "read")
    allowed = await may(node, one, two, "invoke")
    denied = [
        await may(node, one, two, "write"),
        await may(node, one, two, "conquer"),
        await may(node, two, one),
        await may(node, one, three),
        await may(node, {"agentId": "nobody"}, two),
        await may(node, one, {"id": "nobody"}),
    ]

    assert (before.status, before.code) == (403, "FORBIDDEN")
    assert granted.status == 201
    assert granted.data["allowedActions"] == ["invoke", "read"]
    assert allowed.data == {"authorized": True, "grant": granted.data}
    assert [answer.status for answer in denied] == [403] * 6


async def test_a_grant_expires_is_replaced_and_taken_back(node):
    """Granting again replaces; past its expiry, or removed, it authorizes nothing."""
    one, two = await node.register(), await node.register()
    first = await grant(node, one, two, "read", expiresAt="2099-01-01T00:00:00Z")
    second = await grant(node, one, two, "write")
    replaced = [await may(node, one, two, action) for action in ("read", "write")]
    listed = await node.admin("GET", f"/agents/{one['id']}/grants")
    await grant(node, one, two, "write", expiresAt="2099-01-01T00:00:00Z")
    node.clock.pushed_us = 100 * 365 * 86_400 * 1_000_000
    expired = await may(node, one, two, "write")
    node.clock.pushed_us = 0
    removed = await node.admin("DELETE", f"/agents/{one['id']}/grants/{first.data['id']}")
    denied = await may(node, one, two, "write")
    gone = await node.admin("DELETE", f"/agents/{one['id']}/grants/{first.data['id']}")

    assert second.data["id"] == first.data["id"]
    assert [answer.status for answer in replaced] == [403, 200]
    assert listed.data == [second.data]
    assert second.data["expiresAt"] is None
    assert (expired.status, removed.status, denied.status, gone.status) == (403, 200, 403, 404)


async def test_who_may_not_act_neither_calls_nor_is_called(node):
    """A paused agent has its grants, and they authorize nothing meanwhile."""
    one, two = await node.register(), await node.register()
    await grant(node, one, two, "read")
    seen = []
    for agent in (one, two):
        await node.admin("PATCH", f"/agents/{agent['id']}/pause", {})
        seen.append((await may(node, one, two)).status)
        await node.admin("PATCH", f"/agents/{agent['id']}/resume", {})
    seen.append((await may(node, one, two)).status)

    assert seen == [403, 403, 200]


async def test_what_is_not_valid_is_refused(node):
    """No actions, unknown ones, no agent, no time or one past: 400; the agent itself 409, an unknown one 404."""
    one, two = await node.register(), await node.register()
    good = {"calleeAgentId": two["agentId"], "allowedActions": ["read"]}
    for more in (
        {"allowedActions": []},
        {"allowedActions": ["conquer"]},
        {"calleeAgentId": ""},
        {"expiresAt": "soon"},
        {"expiresAt": "2001-01-01T00:00:00Z"},
    ):
        answer = await node.admin("POST", f"/agents/{one['id']}/grants", {**good, **more})
        assert (answer.status, answer.code) == (400, "VALIDATION_ERROR"), more

    assert (await grant(node, one, one, "read")).status == 409
    assert (await grant(node, one, {"agentId": "nobody"}, "read")).status == 404
    assert (await node.ask("POST", f"/agents/{one['id']}/grants", good)).status == 403


async def test_many_grants_at_the_same_moment_are_one(node):
    """The pair has one grant, whoever comes last."""
    one, two = await node.register(), await node.register()
    answers = await asyncio.gather(*(grant(node, one, two, "read") for _ in range(6)))

    assert {answer.status for answer in answers} == {201}
    assert len((await node.admin("GET", f"/agents/{one['id']}/grants")).data) == 1


async def test_agents_are_discovered_by_what_they_declared(node):
    """Active agents alone, of this organization, all of them or those with a capability."""
    mail = await node.register("mailer", allowedActions=["send_email", "read"])
    plain = await node.register("plain")
    paused = await node.register("paused", allowedActions=["send_email"])
    await node.admin("PATCH", f"/agents/{paused['id']}/pause", {})
    other = await node.other_organization()
    every = await node.ask("GET", "/agents/discover")
    found = await node.ask("GET", "/agents/discover?capability=send_email")
    elsewhere = await node.ask("GET", "/agents/discover", key=other)

    assert [each["id"] for each in every.data] == [mail["id"], plain["id"]]
    assert found.data == [
        {"id": mail["id"], "agentId": "mailer", "name": "Bot", "capabilities": ["send_email", "read"]}
    ]
    assert elsewhere.data == []
