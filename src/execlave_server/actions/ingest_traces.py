"""Traces in: each becomes a stored trace and the middle of its Datadog log, and all of them one commit."""

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from execlave_server.actions.agent_credentials import mark_credential, read_credentials
from execlave_server.actions.count_costs import count_costs
from execlave_server.actions.credential_memory import Claims
from execlave_server.actions.estimate_cost import CostEstimator
from execlave_server.actions.identify_caller import refuse_revoked
from execlave_server.actions.judge_traces import Judging, read_judging
from execlave_server.actions.read_agents import standing_checks
from execlave_server.actions.services import Services
from execlave_server.audit.canonical import nano_usd
from execlave_server.audit.records import TraceRecord, leaf_of, trace_content
from execlave_server.datadog.logs import UNGOVERNED, Cost, Governed, log_middle
from execlave_server.errors import UnavailableError
from execlave_server.model.agents import Agent, CredentialMark, OutcomeStrictness, resolve_agent
from execlave_server.model.organizations import ApiKey
from execlave_server.model.traces import (
    ID_CHARS_MAX,
    NewTrace,
    TraceItem,
    TraceOutcome,
    TraceStatus,
    identify,
    pack_item,
)
from execlave_server.store.protocol import StaleError, Traces, Write

COMMIT_AGAIN_MAX = 5

Meant: TypeAlias = tuple[str, str | None]
"""An agent as an item names it: external id and environment."""
Agents: TypeAlias = dict[Meant, Agent | None]


class Known(Struct, frozen=True):
    """What was looked up for the items of a request."""

    agents: Agents
    credentials: Claims


class SentItem(Struct, frozen=True):
    """One item of a request: its bytes as sent, or with its output masked, and what they say."""

    raw: bytes
    item: TraceItem
    span_id: str
    occurred_at_ms: int | None


class RefusalCode(StrEnum):
    """Why a trace was not stored, in `errors[]`."""

    VALIDATION_ERROR = "VALIDATION_ERROR"
    TRACE_CONFLICT = "TRACE_CONFLICT"
    OUTCOME_EVIDENCE_REQUIRED = "OUTCOME_EVIDENCE_REQUIRED"


class RefusedTrace(Struct, frozen=True, rename={"trace_id": "traceId"}):
    """A trace that was not stored, and why."""

    trace_id: str
    code: RefusalCode
    error: str


class IngestResult(Struct, frozen=True):
    """What became of a request's traces; a duplicate counts as accepted, since it is stored."""

    accepted: int
    duplicates: int
    refused: list[RefusedTrace]


async def ingest_traces(services: Services, presented: str, items: Sequence[SentItem]) -> IngestResult:
    """Commit traces with the governance context that is true at the commit.

    Raises UnauthorizedError for a key never issued or revoked, DiskLowError where the disk is nearly full,
    UnavailableError when they cannot be committed.
    """
    if not items:
        refuse_revoked(await services.keys.identify(presented))
        return IngestResult(0, 0, [])
    services.disk.require_room()
    credentials = await read_credentials(services, (sent.item.agent_credential for sent in items))
    cost_of = partial(_cost, services.costs)
    for attempt in range(COMMIT_AGAIN_MAX):
        key = await services.keys.identify(presented, fresh=attempt > 0)
        refuse_revoked(key)
        named = await services.agents.named(key, {sent.item.agent_id or "" for sent in items}, fresh=attempt > 0)
        agents = {meant: resolve_agent(named[meant[0]], *meant) for meant in {_meant(sent) for sent in items}}
        refused, kept = _take_proven(items, agents)
        judging = await read_judging(services, key, [sent.item for sent in kept], cost_of, fresh=attempt > 0)
        traces = await _prepare(services, key, kept, Known(agents, credentials), judging)
        uses = services.uses.calls(key, agents.values())
        checks = [*standing_checks(key, named), judging.check]
        write = Write(checks=checks, calls=uses, traces=Traces(key.organization, traces))
        try:
            await services.right_of_way.give_way()
            write = await count_costs(services, key, write, kept, agents, fresh=attempt > 0)
            await services.right_of_way.give_way()
            with services.right_of_way.committing():
                written = await services.store.commit(write)
        except StaleError:
            continue
        services.uses.committed(uses)
        return _result(traces, written.outcomes, refused)
    raise UnavailableError("The registry changes faster than traces can be committed. Try again.")


def _meant(sent: SentItem) -> Meant:
    return sent.item.agent_id or "", sent.item.environment


def _take_proven(items: Sequence[SentItem], agents: Agents) -> tuple[list[RefusedTrace], Sequence[SentItem]]:
    """What is refused because its agent is strict and it proves nothing, and the rest."""
    if not any(agent and agent.outcome_strictness is OutcomeStrictness.STRICT for agent in agents.values()):
        return [], items
    refused = [_unproven(sent) for sent in items if _lacks_evidence(sent, agents)]
    return refused, [sent for sent in items if not _lacks_evidence(sent, agents)]


def _lacks_evidence(sent: SentItem, agents: Agents) -> bool:
    """True where a strict agent says it succeeded and does not say how it knows."""
    agent = agents[_meant(sent)]
    if agent is None or agent.outcome_strictness is not OutcomeStrictness.STRICT:
        return False
    return sent.item.status is TraceStatus.SUCCESS and not sent.item.has_effect_evidence


def _unproven(sent: SentItem) -> RefusedTrace:
    return RefusedTrace(
        sent.item.trace_id,
        RefusalCode.OUTCOME_EVIDENCE_REQUIRED,
        "This agent's outcome strictness is strict: a success needs effectEvidence with basis read_back or callback "
        "and an effectRef or acknowledgementId. Send that, or report effect_unconfirmed.",
    )


async def _prepare(
    services: Services, key: ApiKey, items: Sequence[SentItem], known: Known, judging: Judging
) -> list[NewTrace]:
    """The traces to store, made in slices so that decisions go first."""
    traces, now_us = [], services.clock.now_us()
    working = await services.right_of_way.give_way()
    for sent, salt in zip(items, services.clock.salts(len(items)), strict=True):
        prepare = partial(_prepare_one, services.costs, key, sent, known, judging, now_us=now_us, salt=salt)
        if len(sent.raw) > judging.off_loop_bytes:
            traces.append(await asyncio.to_thread(prepare))
        else:
            traces.append(prepare())
        if working.is_over:
            working = await services.right_of_way.give_way()
    return traces


def _prepare_one(
    costs: CostEstimator, key: ApiKey, sent: SentItem, known: Known, judging: Judging, *, now_us: int, salt: bytes
) -> NewTrace:
    agent, credential = known.agents[_meant(sent)], sent.item.agent_credential
    mark = None
    if credential is not None:
        claims = known.credentials.get(credential) if isinstance(credential, str) else None
        mark = mark_credential(claims, agent, key.organization_id, now_us)
    raw, governed = judging.judge(sent.raw, sent.item, agent)
    stored = sent if raw is sent.raw else replace(sent, raw=raw)
    made = partial(new_trace, costs, key.organization_id, stored, agent, now_us=now_us, salt=salt)
    return made(governed=governed, credential=mark)


def new_trace(
    costs: CostEstimator,
    organization_id: str,
    sent: SentItem,
    agent: Agent | None,
    *,
    now_us: int,
    salt: bytes,
    governed: Governed = UNGOVERNED,
    credential: CredentialMark | None = None,
) -> NewTrace:
    """One trace, ready to commit."""
    item = sent.item
    identity = identify(organization_id, item.trace_id, sent.span_id)
    cost, status = _cost(costs, item), governed.status or item.status
    log = log_middle(
        item,
        organization_id=organization_id,
        span_id=sent.span_id,
        delivery_key=identity.delivery_key,
        agent=agent,
        cost=cost,
        governed=governed,
        credential=credential,
    )
    occurred_at_ms = now_us // 1_000 if sent.occurred_at_ms is None else sent.occurred_at_ms
    agent_name, environment = item.agent_id or "", (item.environment or "")[:ID_CHARS_MAX]
    span_type = (item.given_span_type or "")[:ID_CHARS_MAX]
    record = TraceRecord(
        agent=agent_name,
        content=trace_content(salt, sent.raw, log),
        cost_nano_usd=nano_usd(cost.usd) if cost else None,
        decision_id=governed.decision_id,
        environment=environment,
        occurred_at_ms=occurred_at_ms,
        organization=organization_id,
        span_id=sent.span_id,
        span_type=span_type,
        status=status,
        trace_id=item.trace_id,
    )
    return NewTrace(
        trace_id=item.trace_id,
        span_id=sent.span_id,
        trace_key=identity.trace_key,
        span_key=identity.span_key,
        status=status.code,
        agent=agent_name,
        environment=environment,
        span_type=span_type,
        occurred_at_ms=occurred_at_ms,
        log=log,
        item=pack_item(sent.raw),
        salt=salt,
        leaf=leaf_of(record),
        cost_nano_usd=record.cost_nano_usd,
    )


def _cost(costs: CostEstimator, item: TraceItem) -> Cost | None:
    reported = item.cost_usd if item.cost_usd is not None else item.estimated_cost_usd
    if reported is not None:
        return Cost(reported, "reported")
    if not item.model_name or (item.prompt_tokens is None and item.completion_tokens is None):
        return None
    estimated = costs.estimate(item.model_name, item.prompt_tokens or 0, item.completion_tokens or 0)
    return None if estimated is None else Cost(estimated, "estimated")


def _result(traces: Sequence[NewTrace], outcomes: Sequence[TraceOutcome], refused: list[RefusedTrace]) -> IngestResult:
    conflicts = [
        RefusedTrace(
            trace.trace_id,
            RefusalCode.TRACE_CONFLICT,
            f"Another trace is stored as {trace.trace_id}, span {trace.span_id}. A stored trace never changes; "
            "send a correction under a new span id.",
        )
        for trace, outcome in zip(traces, outcomes, strict=True)
        if outcome is TraceOutcome.CONFLICT
    ]
    duplicates = sum(outcome is TraceOutcome.DUPLICATE for outcome in outcomes)
    return IngestResult(len(traces) - len(conflicts), duplicates, refused + conflicts)
