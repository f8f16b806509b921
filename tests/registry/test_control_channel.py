"""The Socket.IO namespace `/sdk`: who is admitted, what is told to whom, and what is refused."""

import asyncio
import json
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import socketio
from socketio.exceptions import ConnectionError as NotConnectedError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from execlave_server.actions.issue_key import create_organization, issue_key, revoke_key
from execlave_server.api import control
from execlave_server.model.organizations import KeyEnvironment, Role
from execlave_server.store.protocol import Call, Write
from nodes import Node, until

AT_ONCE_S = 1.5  # a second, and half of one for a busy machine
QUIET_S = 1.2  # as long as any push takes


class Listener:
    """A Socket.IO client, and what it was told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.client = socketio.AsyncClient(reconnection=False)
        self.client.on("agent.status_updated", self._hear, namespace="/sdk")

    async def _hear(self, data: dict[str, Any]) -> None:
        self.told.append(data)


@asynccontextmanager
async def listening(node: Node, key: str | None = None):
    """A connected client."""
    listener = Listener()
    auth = {"apiKey": key or node.agent_key}
    await listener.client.connect(node.url, namespaces=["/sdk"], transports=["websocket"], auth=auth)
    try:
        yield listener
    finally:
        await listener.client.disconnect()


def raw(node: Node):
    """An engine.io connection without Socket.IO's manners."""
    return connect(node.url.replace("http", "ws") + "/socket.io/?transport=websocket&EIO=4")


async def read_all(connection: ClientConnection) -> list[str]:
    """What comes until the connection is closed."""
    messages = []
    try:
        async with asyncio.timeout(20):
            while True:
                messages.append(await connection.recv())
    except ConnectionClosed:
        return messages


async def pause(node: Node, agent: dict[str, Any], reason: str = "under review") -> None:
    """Pause an agent."""
    await node.admin("PATCH", f"/agents/{agent['id']}/pause", {"reason": reason})


class TestPush:
    async def test_a_key_that_used_the_agent_is_told_at_once(self, node):
        """Pause and resume reach the socket with the external id, the word the SDK obeys, and the reason."""
        agent = await node.register()
        async with listening(node) as listener:
            started = time.monotonic()
            await pause(node, agent)
            await until(lambda: listener.told, "a push")
            took_s = time.monotonic() - started
            await node.admin("PATCH", f"/agents/{agent['id']}/resume", {})
            await until(lambda: len(listener.told) > 1, "a second push")

        assert took_s < AT_ONCE_S
        assert listener.told == [
            {"agentId": agent["agentId"], "status": "paused", "reason": "under review"},
            {"agentId": agent["agentId"], "status": "active"},
        ]

    async def test_a_key_that_never_used_the_agent_hears_nothing(self, node):
        """The JavaScript SDK obeys an event about any agent, so only keys that used it are told, ingest included."""
        agent, _ = await node.register(), await node.register()
        (_, stranger), (_, tracer) = await node.new_key(), await node.new_key()
        item = {"traceId": "t", "status": "success", "agentId": agent["agentId"], "environment": "production"}
        assert (await node.ask("POST", "/traces/ingest", {"traces": [item]}, key=tracer)).status == 202
        async with listening(node, stranger) as apart, listening(node, tracer) as traced, listening(node) as own:
            await pause(node, agent)
            await until(lambda: own.told and traced.told, "two pushes")
            await asyncio.sleep(QUIET_S)

        assert apart.told == []
        assert len(own.told) == len(traced.told) == 1

    async def test_each_socket_of_a_key_is_told(self, node):
        """A fleet shares a key; each of its processes hears."""
        agent = await node.register()
        async with listening(node) as one, listening(node) as two:
            await pause(node, agent)
            await until(lambda: one.told and two.told, "both pushes")

    @pytest.mark.parametrize("status", ["inactive", "archived"])
    async def test_a_change_made_beside_the_server_is_told_within_a_second(self, node, status):
        """What a command or another server commits is found in the database; what stops an agent is told as paused."""
        agent = await node.register()
        async with listening(node) as listener:
            row = {
                "organization": node.organization.number,
                "id": agent["id"],
                "status": status,
                "reason": None,
                "salt": None,
                "now_us": node.clock.now_us(),
            }
            started = time.monotonic()
            await node.services.store.commit(Write(calls=[Call("set_agent_status", row)]))
            await until(lambda: listener.told, "a push")
            took_s = time.monotonic() - started

        assert took_s < AT_ONCE_S
        assert listener.told[0]["status"] == "paused"

    async def test_what_changed_before_is_not_told(self, node):
        """A client that connects asks for its own agents when it registers them; old news would stop others."""
        agent = await node.register()
        await pause(node, agent)
        async with listening(node) as listener:
            other = await node.register()
            await pause(node, other)
            await until(lambda: listener.told, "a push")

        assert [told["agentId"] for told in listener.told] == [other["agentId"]]

    async def test_other_organizations_hear_nothing(self, node):
        """The same external id in another organization is another agent."""
        agent = await node.register("same-name")
        elsewhere = await create_organization(node.services, "Elsewhere")
        _, issued = await issue_key(
            node.services, elsewhere, name="", environment=KeyEnvironment.PRODUCTION, role=Role.AGENT
        )
        key = issued.reveal()
        await node.ask("POST", "/agents", {"agentId": "same-name", "name": "Bot"}, key=key)
        async with listening(node, key) as stranger, listening(node) as own:
            await pause(node, agent)
            await until(lambda: own.told, "a push")
            await asyncio.sleep(QUIET_S)

        assert stranger.told == []

    async def test_pause_on_one_node_reaches_a_socket_of_another(self, start_node):
        """On PostgreSQL a pause at node A is told by node B within about a second."""
        here, there = await start_node(), await start_node()
        agent = await here.register()
        async with listening(there) as listener:
            started = time.monotonic()
            await pause(here, agent)
            await until(lambda: listener.told, "a push")
            took_s = time.monotonic() - started

        assert took_s < AT_ONCE_S
        assert listener.told[0]["agentId"] == agent["agentId"]

    async def test_without_sockets_the_database_is_not_asked(self, node, monkeypatch):
        """An idle server looks for nothing; with a socket it looks about twice a second."""
        asked = []
        rows = node.services.store.rows

        async def counted(statement, parameters=None):
            asked.append(statement)
            return await rows(statement, parameters)

        monkeypatch.setattr(node.services.store, "rows", counted)
        await asyncio.sleep(1)
        idle = list(asked)
        async with listening(node):
            asked.clear()
            await asyncio.sleep(1)
        looks = asked.count("organization_versions")

        assert idle == []
        assert 1 <= looks <= 4
        assert set(asked) == {"organization_versions"}


class TestAdmission:
    async def test_a_bad_key_is_refused(self, node):
        """A client without a key that was issued never gets into the namespace."""
        for auth in (None, {}, "text", {"apiKey": 7}, {"apiKey": "exe_prod_short"}, {"apiKey": "exe_prod_" + "A" * 43}):
            client = socketio.AsyncClient(reconnection=False)
            with pytest.raises(NotConnectedError):
                await client.connect(node.url, namespaces=["/sdk"], transports=["websocket"], auth=auth)
            await client.disconnect()

    async def test_a_revoked_key_is_refused_and_its_sockets_are_closed(self, node):
        """Revoking a key closes what is open under it, within a second, and nothing else."""
        key_id, key = await node.new_key()
        async with listening(node, key) as revoked, listening(node) as other:
            started = time.monotonic()
            await revoke_key(node.services, node.organization, key_id)
            await until(lambda: not revoked.client.connected, "a closed socket")
            took_s = time.monotonic() - started
            with pytest.raises(NotConnectedError):
                async with listening(node, key):
                    pass
            still_open = other.client.connected

        assert took_s < AT_ONCE_S
        assert still_open

    async def test_revoked_on_one_node_closed_on_another(self, start_node):
        """On PostgreSQL a revocation at node A closes the key's sockets at node B."""
        here, there = await start_node(), await start_node()
        key_id, key = await here.new_key()
        async with listening(there, key) as listener:
            await revoke_key(here.services, here.organization, key_id)
            await until(lambda: not listener.client.connected, "a closed socket", within_s=AT_ONCE_S)

    async def test_another_namespace_is_refused(self, node):
        """There is `/sdk` and nothing else."""
        client = socketio.AsyncClient(reconnection=False)
        with pytest.raises(NotConnectedError):
            await client.connect(
                node.url, namespaces=["/other"], transports=["websocket"], auth={"apiKey": node.agent_key}
            )
        await client.disconnect()

    async def test_who_says_no_key_is_closed(self, node, monkeypatch):
        """A connection that is not admitted in time ends, pings or not."""
        monkeypatch.setattr(control, "ADMIT_WITHIN_S", 0.2)
        async with raw(node) as connection:
            messages = await read_all(connection)

        assert len(messages) == 1
        assert messages[0].startswith("0{")  # Engine.IO's greeting, and nothing after it

    async def test_no_more_sockets_than_the_limits_allow(self, node, monkeypatch):
        """Past a key's limit a client is refused and told so; past the server's, turned away before it is heard."""
        monkeypatch.setattr(control, "SOCKETS_PER_KEY_MAX", 1)
        async with listening(node):
            with pytest.raises(NotConnectedError):
                async with listening(node):
                    pass
            for limit, most in (("STRANGERS_MAX", 0), ("SOCKETS_MAX", 1)):
                with monkeypatch.context() as limited:
                    limited.setattr(control, limit, most)
                    with pytest.raises(InvalidStatus):
                        await raw(node)
        async with listening(node):
            pass  # room again

    async def test_a_client_that_sends_an_event_is_closed(self, node):
        """Nothing goes from client to server but the key."""
        async with listening(node) as listener:
            await listener.client.emit("agent.status_updated", {"agentId": "a", "status": "paused"}, namespace="/sdk")
            await until(lambda: not listener.client.connected, "a closed socket")

        assert listener.told == []

    async def test_a_large_message_closes_the_connection(self, node):
        """A message past four kilobytes is not read."""
        async with raw(node) as connection:
            await connection.send("40/sdk," + json.dumps({"apiKey": "x" * 10_000}))
            await read_all(connection)

    async def test_garbage_harms_nobody(self, node):
        """What is no packet ends at the most the connection it came on."""
        agent = await node.register()
        async with listening(node) as listener, AsyncExitStack() as stack:
            for message in ("", "4", "40", "99", "42/sdk,[", "451-/sdk,[", '40/sdk,{"a":', "\x00", "b"):
                connection = await stack.enter_async_context(raw(node))
                await connection.recv()
                await connection.send(message)
            await pause(node, agent)
            await until(lambda: listener.told, "a push to somebody else")

    async def test_long_polling_is_not_spoken(self, node):
        """Over plain HTTP there is nothing at the socket's path; WebSocket elsewhere is refused."""
        async with node.session.get(f"{node.url}/socket.io/?transport=polling&EIO=4") as answer:
            assert answer.status == 404
        with pytest.raises(InvalidStatus):
            async with connect(node.url.replace("http", "ws") + "/api/v1/agents"):
                pass
