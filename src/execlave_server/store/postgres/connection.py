"""Connections to PostgreSQL, and its errors turned into ours."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias
from urllib.parse import urlsplit

import asyncpg

from execlave_server.errors import SettingsError, UnavailableError, ValidationFailedError
from execlave_server.store.protocol import Durability

CONNECT_WITHIN_S = 5.0  # a database that takes longer to answer is as good as down
ANSWER_WITHIN_S = 15.0  # one statement; far beyond what any takes while the database is well
LOCK_WITHIN_MS = 5_000  # another transaction holds a lock for milliseconds; five seconds means trouble
IDLE_IN_TRANSACTION_MS = 10_000  # a server cut off inside a transaction lets go of its locks by then

Connection: TypeAlias = asyncpg.Connection  # published without types

_SESSION = {
    "application_name": "execlave-server",
    "timezone": "UTC",
    "lock_timeout": str(LOCK_WITHIN_MS),
    "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_MS),
    "plan_cache_mode": "force_custom_plan",  # partitions fill fast: a plan made when one was empty would read all of it
    "default_transaction_isolation": "read committed",  # each check sees what was committed before it had its locks
}
_SYNCHRONOUS_COMMIT = {Durability.FULL: "on", Durability.NORMAL: "off"}
_BAD_URL = (
    asyncpg.InvalidPasswordError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)
LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InternalClientError,  # asyncpg's word for a connection that ends just as it is used
)
"""After these nothing more comes over the connection."""
_BUSY = (
    asyncpg.TooManyConnectionsError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.OutOfMemoryError,
)


async def connect(url: str, durability: Durability, *, read_only: bool = False) -> Connection:
    """A connection with our session settings.

    Raises SettingsError where the address or the password is wrong, UnavailableError where nobody answers.
    """
    session = _SESSION | {"synchronous_commit": _SYNCHRONOUS_COMMIT[durability]}
    if read_only:
        session["default_transaction_read_only"] = "on"
    with translated_errors():
        try:
            return await asyncpg.connect(
                url, timeout=CONNECT_WITHIN_S, command_timeout=ANSWER_WITHIN_S, server_settings=session
            )
        except (*_BAD_URL, asyncpg.ClientConfigurationError) as error:
            raise SettingsError(
                f"The database {shown(url)} of EXECLAVE_SERVER_DATABASE_URL cannot be used: {error}. "
                "Check the address, the user and the password, and that the database exists."
            ) from error


async def close(connection: Connection) -> None:
    """End a connection, politely where that is possible."""
    try:
        await connection.close(timeout=CONNECT_WITHIN_S)
    except (*LOST, asyncpg.InterfaceError):
        connection.terminate()


def shown(url: str) -> str:
    """The address without user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def refuse_nul(text: object) -> None:
    """Raise ValidationFailedError for a text with a NUL character, which PostgreSQL does not store."""
    if isinstance(text, str) and "\0" in text:
        raise ValidationFailedError("A text has a NUL character (U+0000), which cannot be stored. Send it without.")


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what the database cannot do now into UnavailableError; programming errors pass."""
    try:
        yield
    except asyncpg.DiskFullError as error:
        raise UnavailableError(
            "The database's disk is full: nothing more can be committed until there is space."
        ) from (error)
    except asyncpg.ReadOnlySQLTransactionError as error:
        raise UnavailableError(
            "The database takes no writes (a standby, or default_transaction_read_only). Try again."
        ) from error
    except _BUSY as error:
        raise UnavailableError(f"The database is busy ({error}). Try again.") from error
    except LOST as error:
        raise UnavailableError(f"The database does not answer ({_said(error)}). Try again shortly.") from error
    except asyncpg.InterfaceError as error:
        if isinstance(error, asyncpg.DataError):
            raise
        raise UnavailableError(f"The connection to the database was lost ({error}). Try again shortly.") from error


def _said(error: BaseException) -> str:
    return str(error) or ("no answer in time" if isinstance(error, asyncio.TimeoutError) else type(error).__name__)
