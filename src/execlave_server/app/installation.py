"""A data directory: made once by `init`, opened by every command, locked by those who must be alone or counted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

from execlave_server.actions.ask_validator import Validators
from execlave_server.actions.estimate_cost import CostEstimator
from execlave_server.actions.identify_caller import KeyRing
from execlave_server.actions.reach_validator import Resolve, ValidatorConnector
from execlave_server.actions.read_agents import AgentRegistry
from execlave_server.actions.read_policies import PolicyBook
from execlave_server.actions.services import Services
from execlave_server.actions.watch_disk import DiskWatch
from execlave_server.app.await_database import await_database
from execlave_server.app.database import (
    StoreRole,
    create_database,
    open_reserve,
    open_store,
    remove_database,
    uses_postgres,
)
from execlave_server.app.key_file import key_file, open_vault
from execlave_server.clock import Clock
from execlave_server.datadog.connection import DatadogConnector
from execlave_server.errors import DataDirError
from execlave_server.metrics import ServerMetrics
from execlave_server.model.secret import Secret
from execlave_server.settings import Settings
from execlave_server.store.disk import MIB, FolderDisk
from execlave_server.store.protocol import Call, Check, StaleError, Store, Write
from execlave_server.vault.envelope import Vault
from execlave_server.vault.key_encryption_key import create_key_file

PEPPER = "api_key_pepper"  # the secret under which API keys are hashed
PEPPER_BOUND_TO = "installation/apiKeyPepper"
_INITIALISED = (
    "The database of EXECLAVE_SERVER_DATABASE_URL is initialised already. A further server or worker needs no `init`: "
    "give it the same key-encryption key (EXECLAVE_SERVER_KEK=file:/path) and run `serve` or `worker`."
)


async def initialise(settings: Settings, clock: Clock) -> None:
    """Make the data directory, its key-encryption key and its database.

    Raises DataDirError when there is an installation already, SecretError when the key file exists.
    """
    if not uses_postgres(settings) and settings.database.exists():
        raise DataDirError(
            f"{settings.data_dir} is a data directory already. Use it, or choose another with --data-dir."
        )
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DataDirError(f"The data directory {settings.data_dir} cannot be made: {error.strerror}.") from error
    if uses_postgres(settings):
        await create_database(settings, clock)
        await _refuse_initialised(settings, clock)
    create_key_file(key_file(settings))
    try:
        await create_database(settings, clock)
        await _write_installation(settings, clock)
    except BaseException:
        if uses_postgres(settings):
            await _refuse_initialised(settings, clock)  # somebody else was first, or the key is in use after all
        key_file(settings).unlink(missing_ok=True)  # nothing is sealed under it yet, and nothing is in the database
        with suppress(OSError):  # what cannot be removed must not hide why this failed
            remove_database(settings)
        raise


async def _refuse_initialised(settings: Settings, clock: Clock) -> None:
    store = await open_store(settings, clock, StoreRole.COMMAND)
    try:
        if await store.rows("find_secret", {"name": PEPPER}):
            raise DataDirError(_INITIALISED)
    finally:
        await store.close()


async def _write_installation(settings: Settings, clock: Clock) -> None:
    vault = open_vault(settings)
    store = await open_store(settings, clock, StoreRole.COMMAND)
    try:
        pepper = vault.seal(Secret(clock.token()), bound_to=PEPPER_BOUND_TO)
        calls = [
            Call("insert_installation", {"id": clock.uuid(), "now_us": clock.now_us()}),
            Call("insert_secret", {"name": PEPPER, "sealed": pepper}),
        ]
        nobody_else = Check("find_secret", {"name": PEPPER}, None)
        await store.commit(Write(checks=[nobody_else], calls=calls))
    except StaleError as error:
        raise DataDirError(_INITIALISED) from error
    finally:
        await store.close()


@asynccontextmanager
async def open_services(
    settings: Settings, clock: Clock, *, serving: bool = False, resolve: Resolve | None = None
) -> AsyncIterator[Services]:
    """The services of one process, closed at the end. `resolve` stands in for the system's name resolution."""
    vault = open_vault(settings)
    metrics = ServerMetrics()
    role = StoreRole.SERVER if serving else StoreRole.COMMAND
    open_it = partial(open_store, settings, clock, role, on_commit=metrics.committed)
    store = await (await_database(open_it, clock) if serving else open_it())
    datadog = DatadogConnector(settings)
    connector = ValidatorConnector(settings, resolve)
    try:
        pepper = await _open_pepper(settings, store, vault)
        yield Services(
            store=store,
            clock=clock,
            settings=settings,
            vault=vault,
            keys=KeyRing(store, pepper, clock),
            agents=AgentRegistry(store),
            policies=PolicyBook(store),
            costs=CostEstimator(),
            datadog=datadog,
            validators=Validators(connector, pepper, clock),
            metrics=metrics,
            disk=_watch_disk(settings),
        )
    finally:
        await connector.close()
        await datadog.close()
        await store.close()


def _watch_disk(settings: Settings) -> DiskWatch:
    """The database's disk; that of PostgreSQL is for whoever runs it."""
    mark = 0 if uses_postgres(settings) else settings.free_space_mb_min * MIB
    return DiskWatch(FolderDisk(settings.data_dir), open_reserve(settings), mark)


async def _open_pepper(settings: Settings, store: Store, vault: Vault) -> Secret:
    rows = await store.rows("find_secret", {"name": PEPPER})
    if not rows or not isinstance(rows[0][0], bytes):
        raise DataDirError(
            "There is no installation in the database yet. Make one: execlave-server init"
            if uses_postgres(settings)
            else "The data directory is not fully initialised. Remove it and run `init` again."
        )
    return vault.open(rows[0][0], bound_to=PEPPER_BOUND_TO)
