"""The control channel: the SDKs' Socket.IO namespace `/sdk`, over which a key hears of the agents it has used.

What is pushed comes from the database alone, so that a change is told by whichever server a client is connected to,
and whoever made it: a server looks for changes twice a second while it has a socket, and at once after its own.
"""

import asyncio
import resource
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import socketio  # type: ignore[import-untyped]
import structlog
from msgspec import Struct
from socketio.exceptions import ConnectionRefusedError as RefusedConnection  # type: ignore[import-untyped]

from execlave_server.actions.identify_caller import refuse_revoked
from execlave_server.actions.services import Services
from execlave_server.errors import ExeclaveServerError, UnavailableError
from execlave_server.model.agents import AgentStatus
from execlave_server.model.organizations import ApiKey
from execlave_server.store.protocol import integer

NAMESPACE = "/sdk"
PATH = "/socket.io"
STATUS_UPDATED = "agent.status_updated"
SOCKETS_MAX = 5_000  # open in this process, those not yet admitted included, and half of its descriptors at the most:
# decisions and traces come over the other half
STRANGERS_MAX = 500  # not yet admitted: who has no key cannot keep out those who have one
SOCKETS_PER_KEY_MAX = 1_000  # one key may serve a fleet of that many processes; one key may not take everything
ADMIT_WITHIN_S = 10.0  # a client says its key in its first message
MESSAGE_BYTES_MAX = 4_096  # a client sends its key, and afterwards nothing but pongs
PING_EVERY_S = 25
PONG_WITHIN_S = 20
LOOK_EVERY_S = 0.5  # on average; with the push itself a change is told within a second
SIGNALS_AT_ONCE = 1_000
TRY_AGAIN_LATER = 1_013  # RFC 6455's registry of close codes
POLICY_VIOLATION = 1_008

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

log = structlog.get_logger()


class Signal(Struct, frozen=True):
    """The last change of an agent's status."""

    number: int
    agent: str
    agent_id: str
    status: AgentStatus
    status_reason: str | None


@dataclass
class Followed:
    """How far this process has told the changes of an organization."""

    version: int
    position: int


@dataclass(frozen=True, slots=True)
class Socket:
    """An admitted client."""

    connection: str
    key: str
    organization: int


class ControlChannel:
    """The sockets of this process. Use as a context; `around` puts it before the API."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._sockets: dict[str, Socket] = {}
        self._followed: dict[int, Followed] = {}
        self._open = 0
        self._occupied = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None
        self._server = socketio.AsyncServer(
            async_mode="asgi",
            namespaces=[NAMESPACE],
            transports=["websocket"],
            allow_upgrades=False,
            async_handlers=False,
            cors_allowed_origins="*",  # a client is known by its key, never by a cookie
            max_http_buffer_size=MESSAGE_BYTES_MAX,
            ping_interval=PING_EVERY_S,
            ping_timeout=PONG_WITHIN_S,
        )
        self._server.on("connect", self._connect, namespace=NAMESPACE)
        self._server.on("disconnect", self._disconnect, namespace=NAMESPACE)
        self._server.on("*", self._refuse_event, namespace=NAMESPACE)

    async def __aenter__(self) -> Self:
        self._watch = asyncio.create_task(self._follow_changes())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._watch
        self._watch.cancel()
        with suppress(asyncio.CancelledError):
            await self._watch
        await self._server.shutdown()

    def around(self, api: App) -> App:
        """One application: the control channel's sockets, and the API for everything else."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "websocket":
                await self._answer_socket(scope, receive, send)
            else:
                await api(scope, receive, send)

        return answer

    async def _answer_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].rstrip("/") != PATH or not self._has_room():
            await receive()
            await send({"type": "websocket.close", "code": TRY_AGAIN_LATER})
            return
        admission = scope["execlave.admission"] = asyncio.Event()
        deadline = asyncio.get_running_loop().time() + ADMIT_WITHIN_S

        async def receive_in_time() -> MutableMapping[str, Any]:
            if admission.is_set():
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    return await receive()
            except TimeoutError:
                if admission.is_set():
                    return await receive()
                return {"type": "websocket.disconnect", "code": POLICY_VIOLATION}

        self._open += 1
        try:
            await self._server.handle_request(scope, receive_in_time, send)
        finally:
            self._open -= 1

    def _has_room(self) -> bool:
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        strangers = self._open - len(self._sockets)
        return self._open < min(SOCKETS_MAX, descriptors // 2) and strangers < STRANGERS_MAX

    async def _connect(self, sid: str, environ: dict[str, Any], said: Any) -> None:
        """Admit a client by its key. Raises RefusedConnection, which the client is told."""
        presented = said.get("apiKey") if isinstance(said, dict) else None
        presented = presented if isinstance(presented, str) else None
        try:
            key = await self._services.keys.identify(presented)
            await self._follow(key.organization)
            self._admit(sid, key)
            await self._server.enter_room(sid, key.id, namespace=NAMESPACE)
            refuse_revoked(await self._services.keys.identify(presented, fresh=True))  # revoked before it was followed
        except ExeclaveServerError as error:
            self._forget(sid)
            raise RefusedConnection(error.message, {"code": error.code}) from error
        environ["asgi.scope"]["execlave.admission"].set()

    def _admit(self, sid: str, key: ApiKey) -> None:
        if sum(socket.key == key.id for socket in self._sockets.values()) >= SOCKETS_PER_KEY_MAX:
            raise UnavailableError(
                f"{SOCKETS_PER_KEY_MAX:,} sockets are open under this API key, which is the most. Poll the status "
                "instead, or give some of the agents a key of their own."
            )
        connection = self._server.manager.eio_sid_from_sid(sid, NAMESPACE)
        self._sockets[sid] = Socket(connection, key.id, key.organization)
        self._occupied.set()

    async def _disconnect(self, sid: str, _reason: Any = None) -> None:
        self._forget(sid)

    def _forget(self, sid: str) -> None:
        self._sockets.pop(sid, None)
        if not self._sockets:
            self._followed.clear()
            self._occupied.clear()

    async def _refuse_event(self, _event: str, sid: str, *_said: Any) -> None:
        """No client has anything to tell here; one that does is no SDK."""
        await self._close(sid)

    async def _close(self, sid: str) -> None:
        socket = self._sockets.get(sid)
        if socket:
            await self._server.disconnect(sid, namespace=NAMESPACE)
            await self._server.eio.disconnect(socket.connection)

    async def _follow(self, organization: int) -> None:
        """From now on, changes of this organization are told. What was before, a client asks for when it registers."""
        if organization in self._followed:
            return
        versions = await self._versions()  # first: what changes between the two is looked for once more, never missed
        position = await self._services.store.rows("newest_signal", {"organization": organization})
        self._followed.setdefault(organization, Followed(versions.get(organization, 0), integer(position[0][0])))

    async def _versions(self) -> dict[int, int]:
        rows = await self._services.store.rows("organization_versions")
        return {integer(number): integer(version) for number, version in rows}

    async def _follow_changes(self) -> None:
        blind = False  # said once an outage, not twice a second
        while True:
            await self._occupied.wait()  # without a socket there is nothing to look for
            pause_s = LOOK_EVERY_S * (0.5 + self._services.clock.fraction())
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._services.governed.wait()
            self._services.governed.clear()
            try:
                await self._tell_changes()
            except UnavailableError as error:
                if not blind:
                    log.warning("control.changes_unknown", error=error.message)
                blind = True
            except Exception as error:  # the task's boundary: one bad row must not end all pushes
                log.exception("control.push_failed", error=str(error))
            else:
                blind = False

    async def _tell_changes(self) -> None:
        versions = await self._versions()
        for organization, followed in list(self._followed.items()):
            version = versions.get(organization, followed.version)
            if version != followed.version:
                await self._close_revoked(organization)
                await self._push_signals(organization, followed)
                followed.version = version

    async def _close_revoked(self, organization: int) -> None:
        revoked = {key for (key,) in await self._services.store.rows("revoked_keys", {"organization": organization})}
        for sid, socket in list(self._sockets.items()):
            if socket.key in revoked:
                await self._close(sid)

    async def _push_signals(self, organization: int, followed: Followed) -> None:
        while True:
            wanted = {"organization": organization, "after": followed.position, "limit": SIGNALS_AT_ONCE}
            signals = await self._services.store.find(Signal, "signals_after", wanted)
            for signal in signals:
                await self._push(organization, signal)
                followed.position = signal.number
            if len(signals) < SIGNALS_AT_ONCE:
                return

    async def _push(self, organization: int, signal: Signal) -> None:
        told: dict[str, Any] = {"agentId": signal.agent_id, "status": signal.status.told}
        if signal.status_reason:
            told["reason"] = signal.status_reason
        used_by = await self._services.store.rows(
            "keys_that_used", {"organization": organization, "agent": signal.agent}
        )
        connected = {socket.key for socket in self._sockets.values()}
        for (key,) in used_by:
            if key in connected:
                await self._server.emit(STATUS_UPDATED, told, room=key, namespace=NAMESPACE)
