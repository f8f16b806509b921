"""The budgets an action is held to: what a decision reads of them, and what it does for them beside charging."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from execlave_server.actions.meter import Meter, mark, mark_meter, money_meter
from execlave_server.audit.chain import Event
from execlave_server.audit.event_logs import context_of
from execlave_server.audit.events import AgentChange, Kind
from execlave_server.audit.events import Budget as BudgetDetails
from execlave_server.model.agents import Agent, AgentStatus
from execlave_server.model.budgets import BudgetRule, Payer, payer_name
from execlave_server.policy.action import Action
from execlave_server.policy.budgets import Budget, CompiledBudgets, Notice, pausing, said_of, tell
from execlave_server.store.protocol import Call, NewEvent, Parameters, Telling

SERVER = "server"
_KINDS = {Notice.WARNING: Kind.BUDGET_WARNING, Notice.HIT: Kind.BUDGET_HIT}


class Watched(NamedTuple):
    """A rule about an action, where its money is counted, and where it is marked what was told."""

    rule: BudgetRule
    meter: Meter
    marks: Mapping[Notice, Meter]

    def budget(self, read: Mapping[str, int]) -> Budget:
        """How far it is used up."""
        told = frozenset(notice for notice, mark in self.marks.items() if read[mark.name])
        return Budget(self.rule, read[self.meter.name], self.meter.starts_at_us, self.meter.ends_at_us, told)


def payer_of(action: Action) -> Payer:
    """Who pays for an action: its agent, and the user and workspace that its metadata names."""
    said = action.metadata
    user, workspace = payer_name(said.get("userId")), payer_name(said.get("workspaceId"))
    return Payer(action.agent_uuid or action.agent_id, action.agent_id, user, workspace)


def watch_budgets(budgets: CompiledBudgets, payer: Payer, now_us: int) -> list[Watched]:
    """The rules about this payer."""
    return [
        Watched(
            rule,
            money_meter(rule.terms.scope, payer.place(rule.terms.scope), rule.terms.window, now_us),
            {notice: mark_meter(rule, payer, notice, now_us) for notice in Notice},
        )
        for rule in budgets.of(payer)
    ]


def meters_watched(watched: Iterable[Watched]) -> list[Meter]:
    """All that must be read for them."""
    return [meter for each in watched for meter in (each.meter, *each.marks.values())]


class HeldTo(NamedTuple):
    """The rules about an action, and in the same order how far each is used up."""

    watched: Sequence[Watched] = ()
    budgets: Sequence[Budget] = ()

    @property
    def caps(self) -> list[tuple[str, int]]:
        """The name of each meter that a rule never lets pass its cap, and the cap."""
        return [
            (watched.meter.name, budget.cap)
            for watched, budget in zip(self.watched, self.budgets, strict=True)
            if budget.rule.terms.action.blocks
        ]


class Effects(NamedTuple):
    """What a decision commits because of budgets."""

    calls: list[Call]
    events: list[NewEvent]
    tellings: list[Telling]


def budget_effects(
    organization: int, agent: Agent | None, held_to: HeldTo, cost: int, now_us: int, *, runs: bool
) -> Effects:
    """What is told of the budgets an action is held to, and the agent's pause where one of them says so."""
    budgets, watched = held_to.budgets, {each.rule.id: each for each in held_to.watched}
    effects = Effects([], [], [])
    for budget, notice, threshold in tell(budgets, cost, now_us, runs=runs):
        place = watched[budget.rule.id]
        marking = mark(organization, place.marks[notice], of=place.meter, threshold=threshold)
        spent = max(budget.spent + (cost if runs else 0), threshold)
        told = replace(_told(organization, budget, notice, spent, now_us), context=context_of(agent))
        effects.tellings.append(Telling(marking, told))
    if agent is not None and (stopping := pausing(budgets, cost)):
        _pause(effects, organization, agent, stopping, now_us)
    return effects


def _told(organization: int, budget: Budget, notice: Notice, spent: int, now_us: int) -> NewEvent:
    rule = budget.rule
    details = BudgetDetails(
        action=rule.terms.action,
        budget=rule.id,
        cap_nano_usd=budget.cap,
        spent_nano_usd=spent,
        window=rule.terms.window,
    )
    event = Event(_KINDS[notice], now_us, SERVER, f"budget:{rule.id}", details)
    return NewEvent(organization, event)


def _pause(effects: Effects, organization: int, agent: Agent, budget: Budget, now_us: int) -> None:
    row: Parameters = {
        "organization": organization,
        "id": agent.id,
        "status": AgentStatus.PAUSED,
        "reason": said_of(budget.rule),
        "salt": None,
        "now_us": now_us,
    }
    details = AgentChange(agent=agent.id, environment=agent.environment, status=AgentStatus.PAUSED, was=agent.status)
    event = Event(Kind.AGENT_STATUS_CHANGED, now_us, SERVER, f"agent:{agent.id}", details)
    effects.calls.append(Call("set_agent_status", row))
    effects.events.append(NewEvent(organization, event, context_of(agent)))
