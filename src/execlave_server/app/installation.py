"""A data directory: made once by `init`, opened by every command, locked by those who must be alone or counted."""

import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from enum import Enum, auto
from pathlib import Path

from execlave_server.actions.ask_validator import Validators
from execlave_server.actions.estimate_cost import CostEstimator
from execlave_server.actions.identify_caller import KeyRing
from execlave_server.actions.reach_validator import Resolve, ValidatorConnector
from execlave_server.actions.read_agents import AgentRegistry
from execlave_server.actions.read_policies import PolicyBook
from execlave_server.actions.services import Services
from execlave_server.actions.watch_disk import DiskWatch
from execlave_server.clock import Clock
from execlave_server.datadog.connection import DatadogConnector
from execlave_server.errors import DataDirError, SecretError
from execlave_server.metrics import ServerMetrics
from execlave_server.model.secret import Secret
from execlave_server.settings import Settings
from execlave_server.store.disk import MIB, FolderDisk, Reserve
from execlave_server.store.protocol import Call, Store, Write
from execlave_server.store.sqlite import READERS, Durability, SqliteStore, create_database, migrate_database
from execlave_server.vault.envelope import Vault
from execlave_server.vault.key_encryption_key import KeyFile, create_key_file, default_key_file, open_key_file

PEPPER = "api_key_pepper"  # the secret under which API keys are hashed
PEPPER_BOUND_TO = "installation/apiKeyPepper"
RESERVE_FILE = "execlave.reserve"
SERVER_LOCK_WAIT_S = 15.0  # how long a new server waits for the one it replaces to finish
SERVER_CACHE_KIB = 16_000  # the pages of the newest buckets; 64 MB cost 3 CPU seconds more per million traces
OTHER_CACHE_KIB = 4_000  # the worker and the commands read each page once


class StoreRole(Enum):
    """Who opens the store: one server checkpoints it, workers may lose their last result, commands do neither."""

    SERVER = auto()
    WORKER = auto()
    COMMAND = auto()


def key_file(settings: Settings) -> Path:
    """Where the key-encryption key is."""
    return Path(settings.kek.removeprefix("file:")) if settings.kek else default_key_file(settings.data_dir)


async def initialise(settings: Settings, clock: Clock) -> None:
    """Make the data directory, its key-encryption key and its database.

    Raises DataDirError when there is one already, SecretError when the key file exists.
    """
    if settings.database.exists():
        raise DataDirError(
            f"{settings.data_dir} is a data directory already. Use it, or choose another with --data-dir."
        )
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DataDirError(f"The data directory {settings.data_dir} cannot be made: {error.strerror}.") from error
    create_key_file(key_file(settings))
    try:
        create_database(settings.database, clock)
        vault = open_vault(settings)
        store = open_store(settings, clock, StoreRole.COMMAND)
        try:
            pepper = vault.seal(Secret(clock.token()), bound_to=PEPPER_BOUND_TO)
            calls = [
                Call("insert_installation", {"id": clock.uuid(), "now_us": clock.now_us()}),
                Call("insert_secret", {"name": PEPPER, "sealed": pepper}),
            ]
            await store.commit(Write(calls=calls))
        finally:
            await store.close()
    except BaseException:
        key_file(settings).unlink(missing_ok=True)  # nothing is sealed under it yet, and nothing is in the database
        for suffix in ("", "-wal", "-shm"):
            with suppress(OSError):  # what cannot be removed must not hide why this failed
                settings.database.with_name(settings.database.name + suffix).unlink(missing_ok=True)
        raise


def open_vault(settings: Settings) -> Vault:
    """The vault under this installation's key-encryption key. Raises DataDirError, SecretError."""
    require_database(settings)
    path = key_file(settings)
    if path.resolve().is_relative_to(settings.data_dir.resolve()) and not settings.kek:
        raise SecretError(f"The key-encryption key {path} is inside the data directory. Keep it apart.")
    return Vault(open_key_file(path))


def open_store(
    settings: Settings, clock: Clock, role: StoreRole, *, on_commit: Callable[[int], object] | None = None
) -> SqliteStore:
    """The store of an initialised data directory. Raises DataDirError."""
    require_database(settings)
    reserve = open_reserve(settings)
    reserve.release_if_full()  # opening a database writes, too
    serving, exporting = role is StoreRole.SERVER, role is StoreRole.WORKER
    return SqliteStore(
        settings.database,
        clock,
        durability=Durability.NORMAL if exporting else Durability.FULL,
        checkpoints=serving,
        cache_kib=SERVER_CACHE_KIB if serving else OTHER_CACHE_KIB,
        readers=1 if exporting else READERS,
        on_commit=on_commit,
        make_room=reserve.release_if_full,
    )


def open_reserve(settings: Settings) -> Reserve:
    """The file of space in the data directory that is given up when its disk is full."""
    return Reserve(settings.data_dir / RESERVE_FILE, settings.reserve_mb * MIB, FolderDisk(settings.data_dir))


@asynccontextmanager
async def open_services(
    settings: Settings, clock: Clock, *, serving: bool = False, resolve: Resolve | None = None
) -> AsyncIterator[Services]:
    """The services of one process, closed at the end. `resolve` stands in for the system's name resolution."""
    vault = open_vault(settings)
    metrics = ServerMetrics()
    role = StoreRole.SERVER if serving else StoreRole.COMMAND
    store = open_store(settings, clock, role, on_commit=metrics.committed)
    datadog = DatadogConnector(settings)
    connector = ValidatorConnector(settings, resolve)
    try:
        pepper = await _open_pepper(store, vault)
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
            disk=DiskWatch(FolderDisk(settings.data_dir), open_reserve(settings), settings.free_space_mb_min * MIB),
        )
    finally:
        await connector.close()
        await datadog.close()
        await store.close()


async def _open_pepper(store: Store, vault: Vault) -> Secret:
    rows = await store.rows("find_secret", {"name": PEPPER})
    if not rows or not isinstance(rows[0][0], bytes):
        raise DataDirError("The data directory is not fully initialised. Remove it and run `init` again.")
    return vault.open(rows[0][0], bound_to=PEPPER_BOUND_TO)


@contextmanager
def only_server(settings: Settings) -> Iterator[None]:
    """Hold the data directory as its one server. Waits for a predecessor; raises DataDirError when it stays."""
    deadline = time.monotonic() + SERVER_LOCK_WAIT_S
    with _lock_file(settings.data_dir / "server.lock") as descriptor:
        while not _try_lock(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise DataDirError(
                    f"Another server uses the data directory {settings.data_dir}. Stop it first; two servers share "
                    "one database only on PostgreSQL."
                )
            time.sleep(0.05)
        yield


@contextmanager
def counted_worker(settings: Settings) -> Iterator[bool]:
    """Hold the data directory as one of its workers; True for the only one, whom nobody's leases bind."""
    require_database(settings)
    with _lock_file(settings.data_dir / "worker.lock") as descriptor:
        alone = _try_lock(descriptor, fcntl.LOCK_EX)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield alone


@contextmanager
def only_rotation(settings: Settings) -> Iterator[KeyFile]:
    """Hold the key-encryption key as the one who replaces it. Raises DataDirError while somebody else does."""
    require_database(settings)
    with _lock_file(settings.data_dir / "rotation.lock") as descriptor:
        if not _try_lock(descriptor, fcntl.LOCK_EX):
            raise DataDirError("Another `secrets rotate` runs on this data directory. Wait for it to end.")
        yield open_key_file(key_file(settings))


@contextmanager
def _lock_file(path: Path) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise DataDirError(f"The lock file {path} cannot be opened: {error.strerror}.") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def migrate_store(settings: Settings, clock: Clock) -> list[str]:
    """Bring the database up to date; the names of the migrations applied. Raises DataDirError."""
    require_database(settings)
    open_reserve(settings).release_if_full()
    return migrate_database(settings.database, clock)


def require_database(settings: Settings) -> None:
    """Raises DataDirError where there is no initialised data directory."""
    if not settings.database.exists():
        raise DataDirError(
            f"There is no data directory at {settings.data_dir}. "
            f"Make one: execlave-server init --data-dir {settings.data_dir}"
        )
