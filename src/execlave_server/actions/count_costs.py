"""What traces cost is counted in the spend meters, once each, in place of what their decisions reserved."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from execlave_server.actions.meter import SPENT_MAX, Meter, Reservation, add, money_meters, release
from execlave_server.actions.services import Services
from execlave_server.model.agents import Agent
from execlave_server.model.budgets import Payer, payer_name
from execlave_server.model.organizations import ApiKey
from execlave_server.model.traces import NewTrace, TraceOutcome
from execlave_server.store.protocol import Call, Store, Write

if TYPE_CHECKING:
    from execlave_server.actions.ingest_traces import SentItem

LOOK_BACK = 15  # buckets of 16,384 traces, or days on PostgreSQL: a root comes soon after what is below it
SPANS_LOOKED_AT_MAX = 5_000


async def count_costs(
    services: Services,
    key: ApiKey,
    write: Write,
    items: "Sequence[SentItem]",
    agents: Mapping[tuple[str, str | None], Agent | None],
    *,
    fresh: bool,
) -> Write:
    """The write of a request's traces, with the counting of what those that are new cost.

    `items` are its traces', `agents` who is meant by each external id and environment in them.
    """
    assert write.traces is not None
    traces = write.traces.items
    costly = [place for place, trace in enumerate(traces) if trace.cost_nano_usd and trace.cost_nano_usd > 0]
    if not costly:
        return write
    organization, now_us = key.organization, services.clock.now_us()
    policies = await services.policies.of(organization, fresh=fresh)
    read_notes = _notes_of if policies.reserve else _no_notes
    bills = [_bill_of(place, items[place], read_notes(items[place]), traces[place], agents) for place in costly]
    looked_up = await _with_children(services.store, organization, bills)
    live = await _claimable(services.store, organization, bills) if policies.reserve else []
    below = looked_up | {bill.trace_id for bill in bills if bill.parent_id}
    counted = [bill for bill in bills if bill.parent_id or bill.trace_id not in below]
    meters: dict[Payer, Sequence[Meter]] = {}
    for payer in {bill.payer for bill in counted}:
        meters[payer] = tuple(money_meters(payer, policies.budgets.of(payer), now_us).values())
    settlement = Settlement(organization, tuple(counted), meters, claim(counted, live))
    return replace(write, checks=[*write.checks, policies.check], settle=settlement)


class Bill(Struct, frozen=True):
    """What one trace cost, in billionths of a US dollar, and who pays. `place` is its place in the request."""

    place: int
    amount: int
    payer: Payer
    trace_id: str
    trace_key: int
    span_id: str | None
    parent_id: str | None
    decision_ids: tuple[str, ...]
    trace_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settlement:
    """Gives the statements that count the traces that turned out new. `claims` are reservations by place."""

    organization: int
    bills: Sequence[Bill]
    meters: Mapping[Payer, Sequence[Meter]]
    claims: Mapping[int, Reservation]

    def __call__(self, outcomes: Sequence[TraceOutcome]) -> list[Call]:
        """One statement for all meters, after the reservations are given back."""
        calls: list[Call] = []
        owed: dict[Payer, int] = {}
        for bill in self.bills:
            if outcomes[bill.place] is not TraceOutcome.STORED:
                continue
            if claimed := self.claims.get(bill.place):
                calls += release(claimed)
            owed[bill.payer] = min(owed.get(bill.payer, 0) + bill.amount, SPENT_MAX)
        amounts: dict[Meter, int] = {}
        for payer, amount in owed.items():
            for meter in self.meters[payer]:
                amounts[meter] = min(amounts.get(meter, 0) + amount, SPENT_MAX)
        return [*calls, add(self.organization, amounts)] if amounts else calls


def claim(bills: Sequence[Bill], live: Sequence[Reservation]) -> dict[int, Reservation]:
    """The reservation that each trace takes the place of, none twice; `live` are in the order of their age.

    It is the one of the decision that the trace names, or else of its trace id, or else the agent's oldest that
    names no trace.
    """
    free = {reservation.id: reservation for reservation in live}
    claims: dict[int, Reservation] = {}
    if not live:
        return claims

    def take(bill: Bill, fitting: Iterable[Reservation]) -> None:
        found = next((one for one in fitting if one.id in free), None) if bill.place not in claims else None
        if found:
            claims[bill.place] = free.pop(found.id)

    by_id = dict(free)
    by_trace: dict[str | None, list[Reservation]] = {}
    by_agent: dict[str, list[Reservation]] = {}
    for reservation in live:
        by_trace.setdefault(reservation.trace_id, []).append(reservation)
        if reservation.trace_id is None:
            by_agent.setdefault(reservation.agent, []).append(reservation)
    for bill in bills:
        take(bill, [by_id[decision] for decision in bill.decision_ids if decision in by_id])
    for bill in bills:
        take(bill, [one for trace_id in bill.trace_ids for one in by_trace.get(trace_id, ())])
    for bill in bills:
        take(bill, by_agent.get(bill.payer.agent, ()))
    return claims


class _Notes(Struct, rename="camel"):
    enforcement: Any = None
    trace_id: Any = None
    workspace_id: Any = None


class _Said(Struct):
    metadata: _Notes | None = None


_said = msgspec.json.Decoder(_Said)


_NO_NOTES = _Notes()


def _notes_of(sent: "SentItem") -> _Notes:
    return _said.decode(sent.raw).metadata or _NO_NOTES


def _no_notes(_sent: "SentItem") -> _Notes:
    return _NO_NOTES


def _bill_of(
    place: int,
    sent: "SentItem",
    notes: _Notes,
    trace: NewTrace,
    agents: Mapping[tuple[str, str | None], Agent | None],
) -> Bill:
    item, reference = sent.item, sent.item.agent_id or ""
    agent = agents[reference, item.environment]
    payer = Payer(
        agent.id if agent else reference,
        agent.agent_id if agent else reference,
        payer_name(item.user_id),
        payer_name(notes.workspace_id),
    )
    return Bill(
        place=place,
        amount=min(trace.cost_nano_usd or 0, SPENT_MAX),
        payer=payer,
        trace_id=trace.trace_id,
        trace_key=trace.trace_key,
        span_id=item.given_span_id,
        parent_id=item.given_parent_span_id,
        decision_ids=tuple(_decisions_in(notes.enforcement)),
        trace_ids=(notes.trace_id, trace.trace_id) if isinstance(notes.trace_id, str) else (trace.trace_id,),
    )


def _decisions_in(enforcement: Any) -> list[str]:
    """The decisions whose warnings the SDK echoes into a trace."""
    warnings = enforcement.get("warnings") if isinstance(enforcement, dict) else None
    echoed = [each.get("decisionId") for each in warnings if isinstance(each, dict)] if type(warnings) is list else []
    return list(dict.fromkeys(decision for decision in echoed if isinstance(decision, str)))


async def _claimable(store: Store, organization: int, bills: Sequence[Bill]) -> list[Reservation]:
    of_agents = Counter(bill.payer.agent for bill in bills)  # each takes as many as it has traces here, the oldest
    wanted = {
        "ids": {decision for bill in bills for decision in bill.decision_ids},
        "traces": {trace_id for bill in bills for trace_id in bill.trace_ids},
        "agents": set(of_agents),
    }
    given = {name: _json(names) for name, names in wanted.items()}
    place = {"organization": organization, "per_agent": max(of_agents.values())}
    return await store.find(Reservation, "claimable_reservations", {**place, **given})


class _LoggedSpan(Struct):
    parent_span_id: str | None = None


class _Log(Struct):
    execlave: _LoggedSpan
    cost_usd: float | None = None


_log = msgspec.json.Decoder(_Log)


async def _with_children(store: Store, organization: int, bills: Sequence[Bill]) -> set[str]:
    """The traces among those whose root is here that have a stored span below it that cost something."""
    below = {bill.trace_id for bill in bills if bill.parent_id}
    roots = {bill.trace_key for bill in bills if bill.span_id and not bill.parent_id and bill.trace_id not in below}
    if not roots:
        return set()
    place = {"organization": organization, "look_back": LOOK_BACK, "limit": SPANS_LOOKED_AT_MAX}
    rows = await store.rows("spans_of_traces", {**place, "trace_keys": _json(roots)})
    return {str(trace_id) for trace_id, log in rows if isinstance(log, bytes) and _costs_below(log)}


def _costs_below(log: bytes) -> bool:
    if b'"parent_span_id"' not in log or b'"cost_usd"' not in log:
        return False
    span = _log.decode(b"{%b}}" % log)
    return bool(span.execlave.parent_span_id and span.cost_usd and span.cost_usd > 0)


def _json(names: Iterable[str | int]) -> str:
    return msgspec.json.encode(list(names)).decode()
