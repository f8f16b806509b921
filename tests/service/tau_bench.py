"""200 recorded runs of a customer-service agent, replayed through the published SDK as the spans they were."""

import json
from pathlib import Path
from typing import Any

import pytest
from execlave import Execlave
from execlave.instrumentation.spans import SPAN_KIND_AGENT, SPAN_KIND_LLM, SPAN_KIND_TOOL, Span, get_span_tree

RECORDED = Path(__file__).parents[2].parent / "shared" / "trajectories" / "tau-bench" / "gpt-4o-airline.json"
MODEL = "gpt-4o"
CHARS_PER_TOKEN = 4  # the recordings count no tokens


def load_runs() -> list[dict[str, Any]]:
    """The recorded runs; a test that needs them is skipped where they are not."""
    if not RECORDED.exists():
        pytest.skip(f"the recorded runs are not here: {RECORDED}")
    return json.loads(RECORDED.read_text())


def replay_run(exe: Execlave, agent_id: str, run: dict[str, Any]) -> list[dict[str, Any]]:
    """One run as a root span, with a span inside it for each assistant turn and each tool call; the items sent."""
    tree = get_span_tree(exe)
    root = tree.start(
        kind=SPAN_KIND_AGENT,
        name=f"airline task {run['task_id']}",
        agent_id=agent_id,
        session_id=f"trial {run['trial']}",
        user_id=run["info"]["task"]["user_id"],
    )
    spans: list[Span] = []
    said: list[Any] = []
    for message in run["traj"]:
        text = message["content"] or ""
        if message["role"] == "assistant":
            span = tree.start(kind=SPAN_KIND_LLM, name=MODEL).set_model(MODEL).set_input(list(said)).set_output(message)
            span.set_tokens(len(json.dumps(said)) // CHARS_PER_TOKEN, len(text) // CHARS_PER_TOKEN).finish()
            spans.append(span)
        elif message["role"] == "tool":
            span = tree.start(kind=SPAN_KIND_TOOL, name=message["name"]).set_output(text)
            if text.startswith("Error"):
                span.finish("error", error_message=text, error_type="ToolError")
            else:
                span.finish()
            spans.append(span)
        said.append(message)
    root.finish("success" if run["reward"] else "flagged_for_review")
    return [span._trace._to_payload() for span in (*spans, root)]


def count_spans(run: dict[str, Any]) -> int:
    """How many spans a run has, counted from the recording itself."""
    return 1 + sum(message["role"] in {"assistant", "tool"} for message in run["traj"])


def identity(item: dict[str, Any]) -> tuple[str, str]:
    """What names a span: its trace and its own id."""
    return item["traceId"], item["metadata"]["spanId"]
