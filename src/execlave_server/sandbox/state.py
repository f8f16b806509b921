import asyncio
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from execlave_server.sandbox.accepted_keys import AcceptedKeys
from execlave_server.sandbox.counters import Counters
from execlave_server.sandbox.faults import FaultPlan
from execlave_server.sandbox.log_index import LogIndex
from execlave_server.sandbox.log_metrics import LogMetric
from execlave_server.sandbox.log_spool import LogSpool
from execlave_server.sandbox.monitors.held_monitor import HeldMonitor
from execlave_server.sandbox.monitors.notifier import Notifier
from execlave_server.sandbox.moving_clock import MovingClock
from execlave_server.sandbox.pipelines import Pipelines
from execlave_server.sandbox.rules_in_force import RulesInForce

FIRST_MONITOR_ID = 10_000_001  # about the length of a real one


@dataclass(slots=True)
class SandboxState:
    """All that one running sandbox holds."""

    clock: MovingClock
    keys: AcceptedKeys
    application_keys: AcceptedKeys  # none: any is taken
    org_id: str
    base_url: str = ""  # where its own pages are; known once it listens
    spool: LogSpool = field(default_factory=LogSpool)
    counters: Counters = field(default_factory=Counters)
    faults: FaultPlan = field(default_factory=FaultPlan)
    index: LogIndex = field(init=False)
    rules: RulesInForce = field(default_factory=RulesInForce)
    pipelines: Pipelines = field(default_factory=Pipelines)
    metrics: dict[str, LogMetric] = field(default_factory=dict)
    dashboards: dict[str, dict[str, Any]] = field(default_factory=dict)
    security_rules: dict[str, dict[str, Any]] = field(default_factory=dict)
    monitors: dict[int, HeldMonitor] = field(default_factory=dict)
    next_monitor_id: int = FIRST_MONITOR_ID
    notifier: Notifier = field(default_factory=Notifier)
    evaluating: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.index = LogIndex(self.spool)

    def renew_rules(self) -> None:
        """Let the logs that arrive from now on meet the pipelines and metrics of now."""
        self.rules = RulesInForce(self.pipelines.running(), tuple(self.metrics.values()))

    def forget_logs(self) -> int:
        """Forget all logs and counts; how many logs there were. Their numbers begin anew, for the monitors too."""
        self.counters = Counters()
        self.index.clear()
        for monitor in self.monitors.values():
            monitor.fed = 0
        return self.spool.clear()

    def close(self) -> None:
        """Give the disk back."""
        self.index.close()
        self.spool.close()


STATE = web.AppKey("STATE", SandboxState)
