"""A few connections for reading."""

import asyncio
from collections.abc import Mapping
from typing import Any

import asyncpg

from execlave_server.store.postgres.connection import (
    ANSWER_WITHIN_S,
    LOST,
    Connection,
    close,
    connect,
    refuse_nul,
    translated_errors,
)
from execlave_server.store.protocol import Durability
from execlave_server.store.statements import Statement


class Readers:
    """Connections that only read, made when they are needed; one that broke is replaced."""

    def __init__(self, url: str, count: int) -> None:
        self._url = url
        self._idle: list[Connection] = []
        self._free = asyncio.Semaphore(count)

    async def fetch(self, statement: Statement, parameters: Mapping[str, Any]) -> list[asyncpg.Record]:
        """The rows of a statement. Raises UnavailableError when the database does not answer."""
        values = [parameters[name] for name in statement.parameters]
        for value in values:
            refuse_nul(value)
        with translated_errors():
            await asyncio.wait_for(self._free.acquire(), ANSWER_WITHIN_S)
            try:
                return await self._fetch(statement.numbered, values)
            finally:
                self._free.release()

    async def close(self) -> None:
        """End the connections."""
        while self._idle:
            await close(self._idle.pop())

    async def _fetch(self, sql: str, values: list[Any]) -> list[asyncpg.Record]:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                try:
                    return await self._fetch_on(connection, sql, values)
                except (*LOST, asyncpg.InterfaceError) as error:
                    if isinstance(error, asyncpg.DataError | TimeoutError):
                        raise
        return await self._fetch_on(await connect(self._url, Durability.FULL, read_only=True), sql, values)

    async def _fetch_on(self, connection: Connection, sql: str, values: list[Any]) -> list[asyncpg.Record]:
        try:
            rows: list[asyncpg.Record] = await connection.fetch(sql, *values)
        except (asyncpg.PostgresError, asyncpg.DataError):
            self._idle.append(connection)  # it answered, if only with an error
            raise
        except BaseException:
            connection.terminate()
            raise
        self._idle.append(connection)
        return rows
