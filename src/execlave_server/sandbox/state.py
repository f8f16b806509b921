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


STATE = web.AppKey("STATE", SandboxState)
