"""The server in this process, over HTTP and WebSocket, on each database engine; two of them on one PostgreSQL."""

import asyncio
import json
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import apsw
import uvicorn

from execlave_server.actions.ask_validator import Validators
from execlave_server.actions.estimate_cost import CostEstimator
from execlave_server.actions.identify_caller import KeyRing
from execlave_server.actions.issue_key import create_organization, issue_key
from execlave_server.actions.reach_validator import ValidatorConnector
from execlave_server.actions.read_agents import AgentRegistry
from execlave_server.actions.read_policies import PolicyBook
from execlave_server.actions.services import Services
from execlave_server.actions.watch_disk import DiskWatch
from execlave_server.api.control import MESSAGE_BYTES_MAX, ControlChannel
from execlave_server.api.routes import create_api
from execlave_server.app.key_file import open_vault
from execlave_server.audit.chain import Entry
from execlave_server.clock import SystemClock
from execlave_server.datadog.connection import DatadogConnector
from execlave_server.model.organizations import KeyEnvironment, Organization, Role
from execlave_server.model.secret import Secret
from execlave_server.settings import Settings
from execlave_server.store.disk import FolderDisk, Reserve
from execlave_server.store.postgres import PostgresStore
from execlave_server.store.protocol import Durability, Store
from execlave_server.store.sqlite import SqliteStore, create_database
from execlave_server.vault.key_encryption_key import create_key_file, default_key_file
from postgres_server import Postgres, read_rows

WITHIN_S = 20.0
PEPPER = Secret("pepper-of-the-tests")


class PushedClock(SystemClock):
    """The machine's clock, ahead by `pushed_us`."""

    pushed_us = 0

    def now_us(self) -> int:
        return super().now_us() + self.pushed_us


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    json: Any

    @property
    def data(self) -> Any:
        """What a good answer carries."""
        assert self.status < 300, (self.status, self.json)
        return self.json["data"]

    @property
    def code(self) -> str:
        """The code of an error."""
        return self.json["error"]["code"]


@dataclass
class Node:
    """A running server."""

    services: Services
    url: str
    session: aiohttp.ClientSession
    organization: Organization
    agent_key: str
    admin_key: str
    clock: PushedClock
    read: Callable[[str], Awaitable[list[tuple[Any, ...]]]]
    """Rows read beside the store."""

    async def ask(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        """A request, by the agent key where no other is given."""
        headers = {"Authorization": f"Bearer {key or self.agent_key}", "Content-Type": "application/json"}
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        url = f"{self.url}/api/v1{path}"
        async with self.session.request(method, url, data=content, headers=headers) as answer:
            return Answer(answer.status, await answer.json())

    async def admin(self, method: str, path: str, body: Any = None) -> Answer:
        """A request by the admin key."""
        return await self.ask(method, path, body, key=self.admin_key)

    async def register(self, name: str | None = None, **more: Any) -> dict[str, Any]:
        """A registered agent."""
        agent_id = name or f"agent-{uuid.uuid4().hex[:12]}"
        return (await self.ask("POST", "/agents", {"agentId": agent_id, "name": "Bot", **more})).data

    async def new_key(self, role: Role = Role.AGENT) -> tuple[str, str]:
        """Another key of the organization: its id, and itself."""
        key_id, key = await issue_key(
            self.services, self.organization, name="", environment=KeyEnvironment.PRODUCTION, role=role
        )
        return key_id, key.reveal()

    async def other_organization(self) -> str:
        """An agent key of another organization."""
        organization = await create_organization(self.services, "other")
        _, key = await issue_key(
            self.services, organization, name="", environment=KeyEnvironment.PRODUCTION, role=Role.AGENT
        )
        return key.reveal()

    async def entries(self, kind: str) -> list[tuple[Entry, dict[str, Any]]]:
        """The audit chain's entries of a kind, with their details."""
        wanted = {"organization": self.organization.number, "after": 0, "limit": 10_000}
        found = await self.services.store.find(Entry, "audit_entries", wanted)
        return [(entry, json.loads(entry.details)) for entry in found if entry.kind == kind]


@asynccontextmanager
async def served(services: Services) -> AsyncIterator[str]:
    """A server on a free port of loopback; its address."""
    listener = socket.socket(
        socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )  # named: asyncio then sends at once
    listener.bind(("127.0.0.1", 0))
    async with ControlChannel(services) as control:
        config = uvicorn.Config(
            control.around(create_api(services)),
            ws="websockets-sansio",
            ws_max_size=MESSAGE_BYTES_MAX,
            ws_per_message_deflate=False,
            ws_ping_interval=None,
            lifespan="off",
            log_config=None,
            access_log=False,
        )
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listener])  # without `serve`, whose end waits a fifth of a second
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for each in server.servers:
                each.close()
            for connection in list(server.server_state.connections):
                connection.shutdown()
            if server.server_state.tasks:
                await asyncio.wait(server.server_state.tasks, timeout=WITHIN_S)


class Engine(Protocol):
    """Opens the one database of a folder, made when it is first asked for."""

    async def open(self, folder: Path) -> Store:
        """The store."""

    async def read(self, folder: Path, sql: str) -> list[tuple[Any, ...]]:
        """Rows, on a connection of its own."""


class OnSqlite:
    async def open(self, folder: Path) -> Store:
        path = folder / "data" / "execlave.db"
        if not path.exists():
            create_database(path, SystemClock())
        return SqliteStore(path, SystemClock(), durability=Durability.FULL, checkpoints=True)

    async def read(self, folder: Path, sql: str) -> list[tuple[Any, ...]]:
        with closing(apsw.Connection(str(folder / "data" / "execlave.db"))) as connection:
            return list(connection.execute(sql))


class OnPostgres:
    def __init__(self, server: Postgres) -> None:
        self._server = server

    async def open(self, folder: Path) -> Store:
        (folder / "data" / "execlave.db").touch()  # the vault asks whether there is a data directory
        return await PostgresStore.open(self._server.database_of(folder), SystemClock(), durability=Durability.FULL)

    async def read(self, folder: Path, sql: str) -> list[tuple[Any, ...]]:
        return await read_rows(self._server.database_of(folder), sql)


StartNode = Callable[[], Awaitable[Node]]


@asynccontextmanager
async def nodes(folder: Path, engine: Engine) -> AsyncIterator[StartNode]:
    """Starts servers on one database, with one organization and its keys."""
    (folder / "data").mkdir()
    settings = Settings(data_dir=folder / "data")
    create_key_file(default_key_file(settings.data_dir))
    clock = PushedClock()
    made: list[tuple[Organization, str, str]] = []
    async with AsyncExitStack() as stack:

        async def start() -> Node:
            store = await engine.open(folder)
            stack.push_async_callback(store.close)
            datadog = DatadogConnector(settings)
            stack.push_async_callback(datadog.close)
            services = Services(
                store=store,
                clock=clock,
                settings=settings,
                vault=open_vault(settings),
                keys=KeyRing(store, PEPPER, clock),
                agents=AgentRegistry(store),
                policies=PolicyBook(store),
                costs=CostEstimator(),
                datadog=datadog,
                validators=Validators(ValidatorConnector(settings), PEPPER, clock),
                disk=DiskWatch(FolderDisk(folder), Reserve(folder / "reserve", 0, FolderDisk(folder)), 0),
            )
            if not made:
                organization = await create_organization(services, "test")
                keys = [
                    await issue_key(services, organization, name="", environment=KeyEnvironment.PRODUCTION, role=role)
                    for role in (Role.AGENT, Role.ADMIN)
                ]
                made.append((organization, keys[0][1].reveal(), keys[1][1].reveal()))
            url = await stack.enter_async_context(served(services))
            session = await stack.enter_async_context(aiohttp.ClientSession())  # ends first: nothing to wait for
            return Node(services, url, session, *made[0], clock, partial(engine.read, folder))

        yield start


async def until(holds: Callable[[], Any], what: str, within_s: float = WITHIN_S) -> Any:
    """The first true value of a condition."""
    async with asyncio.timeout(within_s):
        while not (value := holds()):
            await asyncio.sleep(0.01)
    assert value, what
    return value
