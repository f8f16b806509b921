"""A client of the sandbox, and the clock it is given, for tests that speak to it over HTTP."""

import io
import json
from typing import Any

import aiohttp

from execlave_server.clock import SystemClock

KEY = "0123456789abcdef0123456789abcdef"
INTAKE = "/api/v2/logs"


class HeldClock(SystemClock):
    """A clock that stands where a test puts it."""

    us = 1_770_000_000_000_000

    def now_us(self) -> int:
        return self.us


class Client:
    """A client of one sandbox that keeps an answer as status, headers and parsed body."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self.session = session
        self.port = port

    async def ask(self, method: str, path: str, **arguments: Any) -> tuple[int, Any]:
        """Status and JSON (or text) of an answer."""
        async with self.session.request(method, f"http://127.0.0.1:{self.port}{path}", **arguments) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if answer.content_type == "application/json" else text

    async def send(self, body: bytes, encoding: str = "identity", **headers: str) -> tuple[int, Any]:
        """Post bytes to the intake with the valid key."""
        return await self.ask(
            "POST", INTAKE, data=io.BytesIO(body), headers={"DD-API-KEY": KEY, "Content-Encoding": encoding, **headers}
        )

    async def logs(self, query: str = "") -> list[Any]:
        """The logs the sandbox holds."""
        return [row["log"] for row in (await self.ask("GET", f"/sandbox/logs{query}"))[1]["data"]]

    async def stats(self) -> dict[str, Any]:
        """The sandbox's counts."""
        return (await self.ask("GET", "/sandbox/stats"))[1]
