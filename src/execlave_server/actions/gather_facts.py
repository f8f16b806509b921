"""What policies must know before they judge, and what the decision then counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from execlave_server.actions.ask_validator import Answers
from execlave_server.actions.meter import (
    NO_CAP,
    Meter,
    Reservation,
    charge,
    count_meter,
    nano,
    read_meters,
    reserve,
    spend_meter,
    spend_meters,
)
from execlave_server.actions.services import Services
from execlave_server.audit.canonical import NANO
from execlave_server.model.policies import EnforcementMode, Policy
from execlave_server.model.policy_rules import (
    BudgetCapRule,
    CostLimitRule,
    ExternalCallLimitRule,
    RateLimitRule,
)
from execlave_server.policy.action import Action, Counter, Facts, Spend
from execlave_server.policy.checks.cost_limit import AGENT_DAY
from execlave_server.policy.engine import CompiledPolicies, NeededFacts, needed_facts
from execlave_server.store.protocol import Call


@dataclass(frozen=True, slots=True)
class Gathered:
    """The facts of one action, and where its counts and its money would go."""

    facts: Facts
    needed: NeededFacts
    spends: dict[Spend, Meter]
    counts: dict[Counter, Meter]


async def gather_facts(
    services: Services, organization: int, compiled: CompiledPolicies, action: Action, answered: Answers
) -> Gathered:
    """Fetch what the policies judging this action ask for.

    `answered` is what validators said of it already; what the others say is added, so that nobody is asked twice.
    """
    now_us, needed = services.clock.now_us(), needed_facts(compiled, action)
    agent = action.agent_uuid or action.agent_id
    spends = {spend: spend_meter(spend, agent, now_us) for spend in needed.spends}
    counts = {counter: count_meter(counter, agent, now_us) for counter in needed.counters}
    answered |= await services.validators.ask([call for call in needed.validators if call not in answered], action)
    read = await read_meters(services.store, organization, [*spends.values(), *counts.values()])
    facts = Facts(
        now_us=now_us,
        spent_usd={spend.key: read[meter.name] / NANO for spend, meter in spends.items()},
        counts={counter.policy_id: read[meter.name] for counter, meter in counts.items()},
        validator_answers={call.policy_id: said for call in needed.validators if (said := answered[call]) is not None},
    )
    return Gathered(facts, needed, spends, counts)


def charges_of(organization: int, gathered: Gathered, action: Action, policies: Sequence[Policy]) -> list[Call]:
    """What a decision that lets the action go counts, each within the caps that would block it.

    In the order of the meters' names, so that two servers charging the same wait for each other in one direction.
    """
    caps = _caps(policies)
    charged = [
        charge(organization, meter, used=counter.adds, cap=caps.get(("count", counter.policy_id), NO_CAP))
        for counter, meter in gathered.counts.items()
        if counter.adds
    ]
    agent, amount = action.agent_uuid or action.agent_id, nano(action.cost_usd)
    if gathered.spends:
        wanted = {meter.name: meter for meter in spend_meters(agent, gathered.facts.now_us)} if amount else {}
        wanted |= {meter.name: meter for meter in gathered.spends.values()}
        limits = {meter.name: caps.get(("spend", spend.key), NO_CAP) for spend, meter in gathered.spends.items()}
        charged += [
            charge(organization, meter, reserved=amount, cap=limits.get(name, NO_CAP)) for name, meter in wanted.items()
        ]
    return sorted(charged, key=lambda call: str(call.parameters["meter"]))


def reservation_of(
    organization: int, gathered: Gathered, action: Action, *, decision_id: str, trace_id: str | None
) -> list[Call]:
    """Remember the reserved cost, to be claimed by the trace."""
    amount = nano(action.cost_usd)
    if not (gathered.spends and amount):
        return []
    agent, now_us = action.agent_uuid or action.agent_id, gathered.facts.now_us
    names = msgspec.json.encode([meter.name for meter in spend_meters(agent, now_us)]).decode()
    return [reserve(Reservation(decision_id, organization, agent, trace_id, amount, names), now_us)]


def _caps(policies: Sequence[Policy]) -> dict[tuple[str, str], int]:
    """The smallest cap of each meter among the policies that would block."""
    caps: dict[tuple[str, str], int] = {}
    for policy in policies:
        if policy.enforcement_mode is not EnforcementMode.BLOCK or not policy.is_active:
            continue
        match policy.rule_definition:
            case RateLimitRule(max_requests=most):
                caps["count", policy.id] = most
            case ExternalCallLimitRule(max_calls=most):
                caps["count", policy.id] = most
            case BudgetCapRule(cap_usd=usd, scope=scope, window=window):
                key = ("spend", Spend(scope, window).key)
                caps[key] = min(caps.get(key, NO_CAP), nano(usd))
            case CostLimitRule(daily_budget=float() as usd):
                key = ("spend", AGENT_DAY.key)
                caps[key] = min(caps.get(key, NO_CAP), nano(usd))
            case _:
                pass
    return caps
