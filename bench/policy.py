"""How long a decision takes by itself: no store, no HTTP, one thread.

Example: python bench/policy.py --rounds 5
"""

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable

from execlave_server.model.policies import Policy, parse_policy
from execlave_server.model.verdicts import Ruling
from execlave_server.policy.action import Action, Facts
from execlave_server.policy.engine import CompiledPolicies, compile_policies, decide, needed_facts
from report import Target, publish
from rig import noise_of, scratch

ACTIONS = 1_000
REPEATS = 11
TARGETS_US = {20: 20.0, 200: 60.0}
NOW_US = 1_765_449_600_000_000  # a Thursday, 10:40 UTC
HOURS = {"start": "06:00", "end": "22:00", "time_zone": "UTC"}
# Twenty policies as an organization has them, none of which objects; `tool` and `agent` are put in.
MIX = [
    ("access_control", {"denied_tools": ["drop_*", "*_secret"]}),
    ("access_control", {"denied_tools": ["{tool}_forever", "wipe_disk"]}),
    ("access_control", {"allowed_tools": ["{tool}", "search", "read_*"]}),
    ("access_control", {"environments": ["production", "staging"]}),
    ("access_control", {"hours": HOURS}),
    ("action_approval", {"tools": ["{tool}"], "min_cost": 10}),
    ("action_approval", {"tools": ["wire_transfer", "close_account"]}),
    ("action_approval", {"tools": ["delete_*"]}),
    ("cost_limit", {"max_cost_per_execution": 5, "daily_budget": 100}),
    ("cost_limit", {"max_cost_per_execution": 2}),
    ("cost_limit", {"daily_budget": 80}),
    ("budget_cap", {"cap_usd": 1000}),
    ("budget_cap", {"cap_usd": 9000, "scope": "org"}),
    ("budget_cap", {"cap_usd": 50, "window": "1h"}),
    ("rate_limit", {"max_requests": 600}),
    ("rate_limit", {"max_requests": 60, "tools": ["{tool}"]}),
    ("external_call_limit", {"max_calls": 500}),
    ("external_call_limit", {"max_calls": 50, "tools": ["http_*", "{tool}"]}),
    ("data_restriction", {"max_records": 1000, "denied_sources": ["hr_*"]}),
    ("tool_integrity", {"pinned": [{"server": "crm", "tool": "{tool}", "descriptorHash": "a" * 64}]}),
]
MODES = ("block", "warn", "require_approval", "monitor")
METHOD = f"""
One call of `policy.engine.decide` on compiled policies, an action (about 500 bytes: input, metadata, one tool, a cost)
and facts fetched beforehand. The mix of twenty: 5 access_control (wildcards, names, an allow list, environments,
hours), 3 action_approval, 3 cost_limit, 3 budget_cap, 2 rate_limit, 2 external_call_limit, 1 data_restriction, 1
tool_integrity, in all four modes; no expression, validator or text; none objects.

20: the mix, for every agent. 200: the mix for every agent and nine more of it, each for three other agents and tools,
as an organization with 28 agents has them. {ACTIONS:,} different actions of one agent and tool; median of {REPEATS}
passes, with the garbage collector running.

first_us: the same where nothing about the agent and tool is remembered, so that the index is walked. all_us: 200
policies that every one apply to the action; no target. facts_us: `needed_facts`. objecting_us: 20 policies of which
all that can do object. compile_ms: `compile_policies` of 200 whose rules were seen before.
"""


def bodies(mixes: int, *, everywhere: bool = False) -> list[dict]:
    """The mix so many times; the first for every agent, the others each for agents of their own."""
    made = []
    for mix in range(mixes):
        own = mix > 0 and not everywhere
        tool = f"tool_{mix}" if own else "refund_order"
        for place, (policy_type, rule) in enumerate(MIX):
            body = {
                "name": f"{policy_type} {mix}.{place}",
                "policyType": policy_type,
                "enforcementMode": MODES[place % len(MODES)],
                "ruleDefinition": json.loads(json.dumps(rule).replace("{tool}", tool)),
                "appliesToAgents": [f"agent-{mix}-{number}" for number in range(3)] if own else [],
            }
            made.append(body)
    return made


def policies(mixes: int, *, everywhere: bool = False) -> list[Policy]:
    """The same, as they are read back from the store."""
    made = bodies(mixes, everywhere=everywhere)
    return [parse_policy(json.dumps(body).encode(), f"pol_{number}") for number, body in enumerate(made)]


def actions() -> list[Action]:
    return [
        Action(
            agent_id="support-bot",
            agent_uuid="6f1e2a3b-0000-4000-8000-000000000001",
            agent_name="Support bot",
            environment="production",
            input=f"Refund order {number:010}: the parcel arrived damaged and the customer sent photographs.",
            tools=("refund_order",),
            metadata={"toolArguments": {"orderId": f"{number:010}", "amount": number % 900}, "channel": "email"},
            estimated_cost=0.01,
        )
        for number in range(ACTIONS)
    ]


def facts_for(made: list[Policy], level: float) -> Facts:
    spent = {f"{scope}:{window}": level for scope in ("agent", "org") for window in ("1m", "1h", "1d", "1mo")}
    return Facts(NOW_US, spent_usd=spent, counts={policy.id: int(level) for policy in made}, baseline={})


def median_us(work: Callable[[Action], object], asked: list[Action]) -> float:
    """Of one call, over several passes."""
    passes = []
    for _ in range(REPEATS):
        gc.collect()
        started = time.perf_counter_ns()
        for action in asked:
            work(action)
        passes.append((time.perf_counter_ns() - started) / len(asked) / 1e3)
    return statistics.median(passes)


def measure(compiled: CompiledPolicies, facts: Facts, wanted: Ruling = Ruling.ALLOW) -> float:
    asked = actions()
    if decide(compiled, asked[0], facts).ruling is not wanted or decide(compiled, asked[0], facts).unevaluated:
        raise RuntimeError("the decision is not the one that was to be measured")
    return median_us(lambda action: decide(compiled, action, facts), asked)


def measure_first(compiled: CompiledPolicies, facts: Facts) -> float:
    def forget_and_decide(action: Action) -> None:
        compiled.remembered.clear()
        decide(compiled, action, facts)

    return median_us(forget_and_decide, actions())


def one_round() -> dict[str, float]:
    row: dict[str, float] = {}
    for count in TARGETS_US:
        made = policies(count // len(MIX))
        compiled, facts = compile_policies(made), facts_for(made, 1)
        row[f"{count}_us"] = measure(compiled, facts)
        row[f"{count}_first_us"] = measure_first(compiled, facts)
    row["200_facts_us"] = median_us(lambda action: needed_facts(compiled, action), actions())
    started = time.perf_counter()
    compile_policies(made)
    row["200_compile_ms"] = (time.perf_counter() - started) * 1e3
    made = policies(10, everywhere=True)
    row["200_all_us"] = measure(compile_policies(made), facts_for(made, 1))
    made = policies(1)
    row["20_objecting_us"] = measure(compile_policies(made), facts_for(made, 100_000), Ruling.BLOCK)
    return row


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--save", action="store_true", help="keep the result in bench/results")
    chosen = options.parse_args()
    rows = []
    with scratch("policy") as folder:
        for _ in range(chosen.rounds):
            row: dict[str, float] = {}
            with noise_of(folder, row):
                row.update(one_round())
            rows.append(row)
    targets = []
    for count, most_us in TARGETS_US.items():
        for name in (f"{count}_us", f"{count}_first_us"):
            middle = statistics.median(row[name] for row in rows)
            targets.append(Target(f"{name} {middle:.1f} is at most {most_us:.0f}", middle <= most_us))
    publish("policy", METHOD, rows, targets, save=chosen.save)


if __name__ == "__main__":
    main()
