from collections.abc import Sequence
from dataclasses import dataclass

from execlave_server.sandbox.log_metrics import LogMetric
from execlave_server.sandbox.prepared_log import PreparedLog
from execlave_server.sandbox.run_pipelines import CompiledPipeline, run_pipelines


@dataclass(frozen=True, slots=True)
class RulesInForce:
    """The pipelines and log metrics that a log meets: those that were there when it arrived."""

    pipelines: Sequence[CompiledPipeline] = ()
    metrics: Sequence[LogMetric] = ()

    def apply(self, log: PreparedLog, arrived_us: int) -> None:
        """Send the log through the pipelines, then count it."""
        run_pipelines(self.pipelines, log, arrived_us)
        for metric in self.metrics:
            metric.count(log)
