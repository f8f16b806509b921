import asyncio
from dataclasses import dataclass, field

from aiohttp import web

from execlave_server.clock import Clock
from execlave_server.sandbox.accepted_keys import AcceptedKeys
from execlave_server.sandbox.counters import Counters
from execlave_server.sandbox.faults import FaultPlan
from execlave_server.sandbox.log_spool import LogSpool


@dataclass(slots=True)
class SandboxState:
    """All that one running sandbox holds."""

    clock: Clock
    keys: AcceptedKeys
    org_id: str
    spool: LogSpool = field(default_factory=LogSpool)
    counters: Counters = field(default_factory=Counters)
    faults: FaultPlan = field(default_factory=FaultPlan)
    closing: asyncio.Event = field(default_factory=asyncio.Event)  # wakes what waits, so that stopping is quick

    async def wait_ms(self, delay_ms: int) -> None:
        """Wait, but not past the end of the sandbox."""
        try:
            await asyncio.wait_for(self.closing.wait(), delay_ms / 1_000)
        except TimeoutError:
            return


STATE = web.AppKey("STATE", SandboxState)
