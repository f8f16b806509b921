from execlave_server.sandbox.limits import PIPELINES_MAX
from execlave_server.sandbox.match_logs import SearchSyntaxError
from execlave_server.sandbox.processors import Pipeline
from execlave_server.sandbox.refusals import ConfigRefusedError
from execlave_server.sandbox.run_pipelines import CompiledPipeline, compile_pipeline


class Pipelines:
    """The pipelines in their order, each beside what it does."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[Pipeline, CompiledPipeline]] = {}

    @property
    def ids(self) -> list[str]:
        """In the order in which they run."""
        return list(self._held)

    @property
    def listed(self) -> list[Pipeline]:
        """The same, whole."""
        return [pipeline for pipeline, _ in self._held.values()]

    def running(self) -> tuple[CompiledPipeline, ...]:
        """What the enabled ones do."""
        return tuple(compiled for pipeline, compiled in self._held.values() if pipeline.is_enabled)

    def find(self, pipeline_id: str) -> Pipeline:
        """Raises ConfigRefusedError where there is none."""
        if pipeline_id not in self._held:
            raise ConfigRefusedError(404, "NotFound", "Non existing pipeline")
        return self._held[pipeline_id][0]

    def put(self, pipeline: Pipeline) -> None:
        """Add it at the end, or replace it where it stands."""
        if pipeline.id not in self._held and len(self._held) >= PIPELINES_MAX:
            raise ConfigRefusedError(400, "InvalidArgument", f"the sandbox holds {PIPELINES_MAX} pipelines: delete one")
        try:
            self._held[pipeline.id] = (pipeline, compile_pipeline(pipeline))
        except (SearchSyntaxError, ValueError) as error:
            raise ConfigRefusedError(400, "InvalidArgument", f"Invalid pipeline: {error}") from error

    def remove(self, pipeline_id: str) -> None:
        """Raises ConfigRefusedError where there is none."""
        self.find(pipeline_id)
        del self._held[pipeline_id]

    def reorder(self, ids: list[str]) -> None:
        """Run them in this order. Raises ConfigRefusedError where it does not name each of them once."""
        if sorted(ids) != sorted(self._held):
            raise ConfigRefusedError(400, "InvalidArgument", "`pipeline_ids` must name every pipeline once")
        self._held = {pipeline_id: self._held[pipeline_id] for pipeline_id in ids}
