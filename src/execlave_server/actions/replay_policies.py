"""Stored traces through draft policies: what would have been different. Changes nothing, asks no validator."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec import Struct

from execlave_server.actions.meter import Meter, count_meter, money_meters, nano, spend_meter
from execlave_server.actions.read_policies import list_policies
from execlave_server.actions.services import Services
from execlave_server.actions.watch_budgets import payer_of
from execlave_server.audit.canonical import NANO
from execlave_server.model.agents import Agent, resolve_agent
from execlave_server.model.organizations import Organization
from execlave_server.model.policies import EnforcementMode, Phase, Policy
from execlave_server.model.traces import unpack_item
from execlave_server.model.verdicts import UNEVALUATED
from execlave_server.policy.action import Action, Facts
from execlave_server.policy.engine import compile_policies, decide, needed_facts
from execlave_server.policy.trace_action import action_of_trace, agent_reference_of
from execlave_server.store.protocol import Parameters, integer

TRACES_MAX = 1_000_000  # minutes of work; the oldest of the span come first
BATCHES_PER_PAGE = 200
TRACES_PER_PAGE = 100  # an item may have megabytes
AGENTS_REMEMBERED = 10_000
METERS_MAX = 100_000  # of one draft; windows that ended are forgotten then
EXAMPLES_MAX = 5

Report = Callable[[int, int], None]


class _Batch(Struct, frozen=True):
    id: int
    trace_count: int
    received_at_us: int


class _Stored(Struct, frozen=True):
    id: int
    trace_id: str
    item: bytes


@dataclass
class Comparison:
    """What one draft said, and where that differs from the policy of the same name that is in force.

    `said` counts by mode (monitor: what it would have reported). `stricter` and `looser` count the differences; where
    no policy has that name yet, every objection is one. Examples are trace ids.
    """

    name: str
    policy_type: str
    replaces: str | None
    said: Counter[str] = field(default_factory=Counter)
    unevaluated: int = 0
    stricter: int = 0
    looser: int = 0
    stricter_examples: list[str] = field(default_factory=list)
    looser_examples: list[str] = field(default_factory=list)

    def add(self, trace_id: str, now: EnforcementMode | None, then: EnforcementMode | None) -> None:
        """One trace: what the draft says, and what the policy in force does."""
        if now is not None:
            self.said[now] += 1
        difference = _strictness(now) - _strictness(then)
        if difference > 0:
            self.stricter += 1
            _example(self.stricter_examples, trace_id)
        elif difference < 0:
            self.looser += 1
            _example(self.looser_examples, trace_id)


@dataclass(frozen=True)
class Replayed:
    """The comparison of each draft over the traces received from `from_us` on; `unreadable` could not be judged."""

    from_us: int
    traces: int
    complete: bool
    unreadable: int
    comparisons: Sequence[Comparison]


class _Trial:
    """One policy alone, with the counts and sums it would have seen."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._compiled = compile_policies([policy])
        self._meters: dict[str, tuple[int, int]] = {}

    def judge(self, actions: Mapping[Phase, Action], now_us: int) -> tuple[EnforcementMode | None, bool]:
        """The strictest thing it says in any of its phases, and whether it could be evaluated."""
        said = [self._judge(actions[phase], now_us) for phase in Phase if phase in self.policy.phases]
        modes = [mode for mode, _ in said if mode is not None]
        strictest = max(modes, key=lambda mode: mode.strictness, default=None)
        return strictest, all(evaluated for _, evaluated in said)

    def _judge(self, action: Action, now_us: int) -> tuple[EnforcementMode | None, bool]:
        needed, agent = needed_facts(self._compiled, action), action.agent_uuid or action.agent_id
        spends = {spend: spend_meter(spend, agent, now_us) for spend in needed.spends}
        counts = {counter: count_meter(counter, agent, now_us) for counter in needed.counters}
        facts = Facts(
            now_us=now_us,
            spent_usd={spend.key: self._read(meter) / NANO for spend, meter in spends.items()},
            counts={counter.policy_id: self._read(meter) for counter, meter in counts.items()},
        )
        verdict = decide(self._compiled, action, facts)
        modes = [
            each.enforcement_mode for each in (*verdict.violations, *verdict.shadow) if each.rule_id != UNEVALUATED
        ]
        said = max(modes, key=lambda mode: mode.strictness, default=None)
        if said is not EnforcementMode.BLOCK:
            for counter, meter in counts.items():
                self._add(meter, counter.adds, now_us)
            for meter in money_meters(payer_of(action), (), now_us).values() if spends else ():
                self._add(meter, nano(action.cost_usd), now_us)
        return said, not verdict.unevaluated

    def _read(self, meter: Meter) -> int:
        return self._meters.get(meter.name, (0, 0))[0]

    def _add(self, meter: Meter, amount: int, now_us: int) -> None:
        if len(self._meters) >= METERS_MAX:
            self._meters = {name: kept for name, kept in self._meters.items() if kept[1] > now_us}
        self._meters[meter.name] = (self._read(meter) + amount, meter.expires_at_us)


@dataclass
class _Pair:
    draft: _Trial
    live: _Trial | None
    comparison: Comparison


async def replay_policies(
    services: Services,
    organization: Organization,
    drafts: Sequence[Policy],
    *,
    from_us: int,
    traces_max: int = TRACES_MAX,
    report: Report | None = None,
) -> Replayed:
    """Judge the traces received since a time by each draft and by the policy in force under the same name.

    `report` is told how many traces of how many were judged.
    """
    pairs = await _pairs(services, organization.number, drafts)
    known: Parameters = {"organization": organization.number, "from_us": from_us}
    total = min(integer((await services.store.rows("traces_received", known))[0][0]), traces_max)
    agents: dict[tuple[str, str | None], Agent | None] = {}
    done = unreadable = 0
    after, complete = (from_us - 1, 0), False
    while not complete and done < traces_max:
        batches = await services.store.find(
            _Batch,
            "batches_received",
            {
                "organization": organization.number,
                "after_us": after[0],
                "after_id": after[1],
                "rows": BATCHES_PER_PAGE,
            },
        )
        complete = len(batches) < BATCHES_PER_PAGE
        for batch in batches:
            last = 0
            while page := await _page(services, organization.number, batch.id, last, traces_max - done):
                actions = await _actions(services, organization, page, agents)
                unreadable += await asyncio.to_thread(_judge, pairs, page, actions, batch.received_at_us)
                done, last = done + len(page), page[-1].id
                if report:
                    report(done, max(done, total))
            if done >= traces_max:
                complete = False
                break
            after = (batch.received_at_us, batch.id)
    return Replayed(from_us, done, complete, unreadable, [pair.comparison for pair in pairs])


async def _pairs(services: Services, organization: int, drafts: Sequence[Policy]) -> list[_Pair]:
    live = {each.policy.name: each for each in await list_policies(services.store, organization)}
    pairs = []
    for number, draft in enumerate(drafts):
        present = live.get(draft.name)
        trial = _Trial(msgspec.structs.replace(draft, id=f"draft {number}", is_active=True))
        comparison = Comparison(draft.name, draft.policy_type, present.id if present else None)
        pairs.append(_Pair(trial, _Trial(present.policy) if present else None, comparison))
    return pairs


async def _page(services: Services, organization: int, batch: int, after: int, most: int) -> list[_Stored]:
    if most <= 0:
        return []
    place: Parameters = {
        "organization": organization,
        "batch": batch,
        "after": after,
        "rows": min(TRACES_PER_PAGE, most),
    }
    return await services.store.find(_Stored, "batch_items", place)


async def _actions(
    services: Services,
    organization: Organization,
    page: Sequence[_Stored],
    agents: dict[tuple[str, str | None], Agent | None],
) -> list[dict[Phase, Action]]:
    """Each trace as the action of each phase; empty for an item that says nothing that can be read."""
    actions = []
    for stored in page:
        item = unpack_item(stored.item)
        try:
            meant = agent_reference_of(item)
            agent = await _agent(services, organization.number, meant, agents)
            actions.append({phase: action_of_trace(item, organization.id, agent, phase) for phase in Phase})
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            actions.append({})
    return actions


async def _agent(
    services: Services,
    organization: int,
    meant: tuple[str, str | None],
    agents: dict[tuple[str, str | None], Agent | None],
) -> Agent | None:
    if meant not in agents:
        if len(agents) >= AGENTS_REMEMBERED:
            agents.clear()
        place: Parameters = {"organization": organization, "reference": meant[0]}
        agents[meant] = resolve_agent(await services.store.find(Agent, "agents_named", place), *meant)
    return agents[meant]


def _judge(pairs: Sequence[_Pair], page: Sequence[_Stored], actions: Sequence[dict[Phase, Action]], now_us: int) -> int:
    """How many traces could not be read."""
    for stored, action in zip(page, actions, strict=True):
        if not action:
            continue
        for pair in pairs:
            now, evaluated = pair.draft.judge(action, now_us)
            then = pair.live.judge(action, now_us)[0] if pair.live else None
            pair.comparison.unevaluated += not evaluated
            pair.comparison.add(stored.trace_id, now, then)
    return sum(not action for action in actions)


def _strictness(mode: EnforcementMode | None) -> int:
    return -1 if mode is None else mode.strictness


def _example(examples: list[str], trace_id: str) -> None:
    if len(examples) < EXAMPLES_MAX and trace_id not in examples:
        examples.append(trace_id)
