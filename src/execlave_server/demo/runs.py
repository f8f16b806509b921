"""One run of an agent: its root span, the steps below it, and what it asks before it acts."""

import random
from dataclasses import dataclass
from typing import Any

from execlave import Execlave
from execlave.instrumentation.spans import (
    SPAN_KIND_AGENT,
    SPAN_KIND_LLM,
    SPAN_KIND_RETRIEVER,
    SPAN_KIND_TOOL,
    Span,
    get_span_tree,
)

STEP_COST_USD = 0.002  # what an agent estimates for an action; far below what its tier allows in a day


class ToolFailedError(Exception):
    """What a tool of the fleet raises now and then."""


@dataclass(frozen=True)
class Run:
    """One run of an agent: its client, its root span, its chance."""

    exe: Execlave
    agent_id: str
    root: Span
    chance: random.Random

    def think(self, model: str, tokens_max: int = 2_000) -> Span:
        """A call of a model, with the tokens it used."""
        span = self.root.child(kind=SPAN_KIND_LLM, name=model)
        prompt = self.chance.randrange(tokens_max * 9 // 10, tokens_max)
        return span.set_model(model).set_tokens(prompt, self.chance.randrange(20, 400))

    def use(self, tool: str, arguments: dict[str, Any]) -> Span:
        """A call of a tool."""
        return self.root.child(kind=SPAN_KIND_TOOL, name=tool).set_input(arguments)

    def retrieve(self, name: str) -> Span:
        """A look-up."""
        return self.root.child(kind=SPAN_KIND_RETRIEVER, name=name)

    def ask(self, doing: str, tool: str) -> None:
        """Ask whether it may. The span that a refusal leaves belongs to this run. Raises PolicyBlockedError."""
        trace_id = self.root._trace.trace_id  # noqa: SLF001 - the SDK tells it nowhere else
        place = {"traceId": trace_id, "spanId": self.root.span_id}
        self.exe.enforce_policy(self.agent_id, doing, tools=[tool], estimated_cost=STEP_COST_USD, metadata=place)


def start_run(exe: Execlave, agent_id: str, chance: random.Random) -> Run:
    """Begin a run with its root span. Raises AgentPausedError."""
    root = get_span_tree(exe).start(kind=SPAN_KIND_AGENT, name=f"{agent_id}.run", agent_id=agent_id)
    return Run(exe, agent_id, root, chance)
