"""The published SDK and budgets: `estimatedCost` is reserved, the cost of its traces takes that place."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from execlave import PolicyBlockedError
from execlave.instrumentation import record_llm_call
from harness import Platform

RULES = "/api/v1/cost-budget-rules"


@pytest.fixture
def agent_id() -> str:
    """The external id of an agent of this test's own."""
    return f"agent-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def exe(platform: Platform):
    """A client of the SDK."""
    with platform.sdk() as client:
        yield client


@pytest.fixture
def usage(platform: Platform, agent_id) -> Iterator[Any]:
    """Sets a budget of $10 a day for the agent; returns what reads its usage."""
    made: list[str] = []

    def start(action: str) -> Any:
        rule = {"scope": "agent", "scopeId": agent_id, "window": "1d", "capUsd": 10, "action": action}
        made.append(platform.server.admin.post(RULES, rule).data["id"])

        def read() -> tuple[float, float]:
            read = platform.server.admin.get(f"{RULES}/{made[0]}/usage").data
            return read["spentUsd"], read["reservedUsd"]

        return read

    yield start
    for rule_id in made:
        platform.server.admin.ask("DELETE", f"{RULES}/{rule_id}")


def test_an_estimate_is_reserved_until_its_trace_comes(exe, agent_id, usage):
    """A call that fits runs, its cost replaces the estimate, and one that no longer fits raises."""
    exe.register_agent(agent_id, "Bot")
    spent = usage("block")

    first = exe.enforce_policy(agent_id, "one", estimated_cost=6.0)
    reserved = spent()
    with pytest.raises(PolicyBlockedError, match="budget_cap"):
        exe.enforce_policy(agent_id, "two", estimated_cost=6.0)
    with exe.start_trace(agent_id=agent_id) as trace:
        trace.set_cost(1.5)
    flushed = exe.flush()
    second = exe.enforce_policy(agent_id, "three", estimated_cost=6.0)

    assert (first["allowed"], second["allowed"], flushed["sent"]) == (True, True, 1)
    assert (reserved, spent()) == ((0, 6), (1.5, 6))


def test_a_recorded_call_claims_its_own_decision(exe, agent_id, usage):
    """Past a warning budget the SDK echoes the decision into its span, which claims what that decision reserved."""
    exe.register_agent(agent_id, "Bot")
    spent = usage("warn")
    exe.enforce_policy(agent_id, "waits", estimated_cost=9.0)

    with record_llm_call(exe, agent_id=agent_id, model="gpt-4o", input_text="hi", estimated_cost=4.0) as span:
        span.set_cost(3.0)
    flushed = exe.flush()

    assert flushed["sent"] == 1
    assert spent() == (3, 9)


def test_nested_spans_are_counted_once(exe, agent_id, usage):
    """A root that sums up what its calls cost does not count them again, in one flush or in two."""
    exe.register_agent(agent_id, "Bot")
    spent = usage("warn")

    for flushes in (False, True):
        with record_llm_call(exe, agent_id=agent_id, model="gpt-4o", input_text=f"root {flushes}") as root:
            for number in range(2):
                with record_llm_call(exe, agent_id=agent_id, input_text=f"{flushes} {number}") as span:
                    span.set_cost(0.5)
            if flushes:
                exe.flush()
            root.set_cost(1.0)
        exe.flush()

    assert spent() == (2, 0)


def test_a_used_up_budget_pauses_the_agent(exe, agent_id, usage):
    """The refused call raises, and the SDK's next question about its agent is answered paused."""
    exe.register_agent(agent_id, "Bot")
    usage("pause_agent")

    with pytest.raises(PolicyBlockedError, match="budget_cap"):
        exe.enforce_policy(agent_id, "too much", estimated_cost=11.0)

    assert exe.check_agent_status(agent_id) == "paused"
