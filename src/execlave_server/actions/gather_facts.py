"""What policies must know before they judge, and what the decision then counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from execlave_server.actions.ask_validator import Answers
from execlave_server.actions.meter import (
    NO_CAP,
    Meter,
    Reservation,
    add,
    charge,
    count_meter,
    money_meters,
    nano,
    read_meters,
    reserve,
    spend_meter,
)
from execlave_server.actions.pin_tools import baseline_of
from execlave_server.actions.read_policies import Policies
from execlave_server.actions.services import Services
from execlave_server.actions.watch_budgets import HeldTo, meters_watched, payer_of, watch_budgets
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
from execlave_server.policy.engine import NeededFacts, needed_facts
from execlave_server.store.protocol import Call


@dataclass(frozen=True, slots=True)
class Gathered:
    """The facts of one action, and where its counts and its money would go.

    `money` is every meter its spending counts in, by name: none where nobody asks.
    """

    facts: Facts
    needed: NeededFacts
    spends: dict[Spend, Meter]
    counts: dict[Counter, Meter]
    held_to: HeldTo
    money: dict[str, Meter]


async def gather_facts(services: Services, policies: Policies, action: Action, answered: Answers) -> Gathered:
    """Fetch what the policies and budget rules judging this action ask for.

    `answered` is what validators said of it already; what the others say is added, so that nobody is asked twice.
    """
    now_us, needed = services.clock.now_us(), needed_facts(policies.compiled, action)
    agent, payer = action.agent_uuid or action.agent_id, payer_of(action)
    spends = {spend: spend_meter(spend, agent, now_us) for spend in needed.spends}
    counts = {counter: count_meter(counter, agent, now_us) for counter in needed.counters}
    watched = watch_budgets(policies.budgets, payer, now_us)
    wanted = [*spends.values(), *counts.values(), *meters_watched(watched)]
    answered |= await services.validators.ask([call for call in needed.validators if call not in answered], action)
    read = await read_meters(services.store, policies.organization, wanted)
    facts = Facts(
        now_us=now_us,
        spent_usd={spend.key: read[meter.name] / NANO for spend, meter in spends.items()},
        counts={counter.policy_id: read[meter.name] for counter, meter in counts.items()},
        validator_answers={call.policy_id: said for call in needed.validators if (said := answered[call]) is not None},
        baseline=await _baseline(services, policies.organization, action) if needed.baseline else None,
    )
    return Gathered(
        facts,
        needed,
        spends,
        counts,
        HeldTo(watched, [each.budget(read) for each in watched]),
        money_meters(payer, (each.rule for each in watched), now_us) if spends or watched else {},
    )


async def _baseline(services: Services, organization: int, action: Action) -> Mapping[tuple[str, str], str]:
    return await baseline_of(services, organization, action.agent_uuid)


class Kept(NamedTuple):
    """What a reservation is remembered under: its decision, the trace that may claim it, the approval it waits for."""

    decision: str
    trace_id: str | None
    approval: str | None = None


def charges_of(organization: int, gathered: Gathered, action: Action, policies: Sequence[Policy]) -> list[Call]:
    """What a decision that lets the action go counts within the caps that would block it."""
    caps, amount = _caps(policies), nano(action.cost_usd)
    limits = _money_caps(gathered, policies)
    counted = [
        charge(organization, meter, used=counter.adds, cap=caps.get(("count", counter.policy_id), NO_CAP))
        for counter, meter in gathered.counts.items()
        if counter.adds
    ]
    return counted + [
        charge(organization, gathered.money[name], reserved=amount, cap=cap) for name, cap in limits.items()
    ]


def reservation_of(
    organization: int,
    gathered: Gathered,
    action: Action,
    policies: Sequence[Policy],
    *,
    kept: Kept,
) -> list[Call]:
    """Reserve the cost where no cap holds it, and remember all of it, to be claimed by the trace."""
    amount = nano(action.cost_usd)
    if not (gathered.money and amount):
        return []
    capped = _money_caps(gathered, policies)
    agent, now_us = action.agent_uuid or action.agent_id, gathered.facts.now_us
    names = msgspec.json.encode(list(gathered.money)).decode()
    free = {meter: amount for name, meter in gathered.money.items() if name not in capped}
    reservation = Reservation(kept.decision, organization, agent, kept.trace_id, amount, names)
    return [add(organization, free, reserved=True), reserve(reservation, now_us, kept.approval)]


def _money_caps(gathered: Gathered, policies: Sequence[Policy]) -> dict[str, int]:
    """The smallest cap of each meter of money, by its name, among what would block."""
    caps = _caps(policies)
    found = [
        (meter.name, caps["spend", spend.key])
        for spend, meter in gathered.spends.items()
        if ("spend", spend.key) in caps
    ]
    smallest: dict[str, int] = {}
    for name, cap in found + gathered.held_to.caps:
        smallest[name] = min(smallest.get(name, cap), cap)
    return smallest


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
