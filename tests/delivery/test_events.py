"""Governance events stream beside the traces: each as often as it happened, for the destinations that want them."""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import apsw
import asyncpg
import pytest
from test_doctor import sums

from approvals import ACTION, ask_approval, digest_of
from execlave_server.actions.configure_destination import (
    Wanted,
    add_destination,
    change_destination,
    disable_destination,
    enable_destination,
)
from execlave_server.actions.decide_approval import deny_approval, grant_approval
from execlave_server.actions.edit_budget import create_budget
from execlave_server.actions.edit_policy import create_policy, delete_policy, patch_policy
from execlave_server.actions.enforce_policy import Asked, enforce_policy
from execlave_server.actions.govern_agent import set_agent_status
from execlave_server.actions.issue_key import issue_key, revoke_key
from execlave_server.actions.read_deliveries import count_deliveries
from execlave_server.actions.register_agent import Registration, register_agent
from execlave_server.actions.report_bypass import BypassReport, report_bypasses
from execlave_server.actions.requeue_parked import list_parked, requeue_parked
from execlave_server.actions.send_again import Past, PastSpan, gap_span, new_replay_id, send_past
from execlave_server.actions.sweep import Sweep
from execlave_server.actions.sweep import Wanted as SweepWanted
from execlave_server.actions.sweep_approvals import sweep_approvals
from execlave_server.actions.try_destination import try_destination
from execlave_server.actions.verify_approval import verify_approval
from execlave_server.actions.verify_evidence import Kept, Verified, verify_evidence
from execlave_server.app.checkup import examine_installation
from execlave_server.audit.canonical import salted_digest
from execlave_server.audit.chain import Entry
from execlave_server.audit.event_logs import STREAMED
from execlave_server.audit.exported_logs import log_anchors
from execlave_server.audit.findings import Code
from execlave_server.errors import ConflictError
from execlave_server.model.agents import AgentProfile, AgentStatus, AutonomyLevel
from execlave_server.model.approvals import APPROVAL_LIFE_US, CERTIFICATE_LIFE_US
from execlave_server.model.budgets import BudgetAction, BudgetScope, BudgetTerms
from execlave_server.model.organizations import ApiKey, KeyEnvironment, Role
from execlave_server.model.people import PersonRole
from execlave_server.model.policy_rules import Window
from execlave_server.model.secret import Secret
from execlave_server.policy.action import Action
from office import Office
from policies import body_of
from tampering import tamper

SAID = "the words of a person"
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
async def events(rig) -> Callable[[], Any]:
    """Switches the rig's destination to events, and reads those that the sandbox has."""
    number = rig.organization.number
    await change_destination(rig.services, number, rig.destination.id, Wanted(events=True))

    async def read() -> list[dict[str, Any]]:
        return [log for log in await rig.every_log() if "audit_seq" in log["execlave"] and "event" in log["execlave"]]

    return read


async def entries(rig) -> list[Entry]:
    """The audit chain."""
    wanted = {"organization": rig.organization.number, "after": 0, "limit": 1_000}
    return await rig.services.store.find(Entry, "audit_entries", wanted)


async def examine(rig) -> tuple[set[str], Sequence[tuple[int, int, int, int]]]:
    """What doctor finds in the rig, but for how this machine runs a database, and its sums."""
    report = await examine_installation(
        rig.services.settings, rig.clock, organization_id=None, deep=False, progress=lambda *_: None
    )
    return {each.code for each in report.findings if each.batch or each.destination}, sums(report)


async def verify(rig, kept: Kept | None = None) -> Verified:
    """What a verification of the evidence says."""
    return await verify_evidence(rig.services.store, rig.organization.number, kept or Kept(), lambda *_: None)


async def agent_key(rig) -> ApiKey:
    """The key of the rig's agent."""
    key: ApiKey = await rig.services.keys.identify(rig.agent_key)
    return key


async def register(rig) -> ApiKey:
    """An agent named bot; the key that registered it."""
    key = await agent_key(rig)
    said = Registration("bot", "Refund bot", "chatbot", "custom", "production", None, AgentProfile())
    await register_agent(rig.services, key, said)
    return key


async def second(rig, *, events: bool) -> str:
    """Another destination, enabled; its id."""
    number = rig.organization.number
    wanted = Wanted(name="Second", site="sandbox", api_key=Secret(KEY), heartbeat=False, events=events)
    added = await add_destination(rig.services, rig.organization.id, number, wanted)
    await try_destination(rig.services, number, added.id)
    return (await enable_destination(rig.services, number, added.id)).id


async def test_an_event_is_delivered_with_its_evidence(rig, events) -> None:
    """A pause arrives as one log: what, of whom, by what kind of actor, and its own entry of the chain; no reason."""
    key = await register(rig)

    await set_agent_status(rig.services, key, "bot", AgentStatus.PAUSED, SAID)
    async with rig.worker():
        await rig.until(lambda counts: counts.waiting == 0)

    [paused] = [log for log in await events() if log["execlave"]["event"] == "agent.status_changed"]
    [entry] = [each for each in await entries(rig) if each.kind == "agent.status_changed"]
    [(salt, reason)] = await read_beside(rig, "select status_salt, status_reason from agents")
    assert paused["message"] == "agent.status_changed bot paused"
    assert (paused["agent_id"], paused["agent_name"], paused["environment"]) == ("bot", "Refund bot", "production")
    assert (paused["agent_status"], paused["execlave"]["was"], paused["execlave"]["actor"]) == (
        "paused",
        "active",
        "key",
    )
    assert (paused["execlave"]["audit_seq"], paused["execlave"]["audit_hash"]) == (entry.seq, entry.hash.hex())
    assert paused["timestamp"] == entry.at_us // 1_000
    assert json.loads(entry.details)["reason_digest"] == salted_digest(salt, b"reason", SAID.encode())
    assert reason == SAID
    assert (paused["service"], paused["organization_id"]) == ("execlave", rig.organization.id)
    assert "status" not in paused
    assert SAID not in json.dumps(await rig.every_log())


async def everything(rig) -> None:
    """One of each kind of event that is streamed, with words and names that may not leave."""
    services, number = rig.services, rig.organization.number
    key = await register(rig)
    office = Office(services, rig.organization, key, None)  # type: ignore[arg-type] - its people come here
    ada = await office.person("ada@example.com", PersonRole.APPROVER)
    key_id, _ = await issue_key(
        services, rig.organization, name=SAID, environment=KeyEnvironment.STAGING, role=Role.ADMIN
    )
    await revoke_key(services, rig.organization, key_id)
    policy = await create_policy(
        services, number, key.actor, body_of("rate_limit", mode="warn", appliesToAgents=["bot"])
    )
    await patch_policy(services, number, key.actor, policy.id, json.dumps({"enforcementMode": "block"}).encode())
    await delete_policy(services, number, key.actor, policy.id)
    for level in (AutonomyLevel.ADVISE, AutonomyLevel.OBSERVE, AutonomyLevel.OBSERVE):  # the last is refused, once
        leveled = Registration("bot", SAID, "chatbot", "custom", "production", level, AgentProfile())
        await register_agent(services, key, leveled)
    await create_policy(services, number, key.actor, body_of("expression", mode="warn", appliesToAgents=["bot"]))
    terms = BudgetTerms(scope=BudgetScope.ORGANIZATION, window=Window.DAY, cap_usd=1.0, action=BudgetAction.PAUSE_AGENT)
    await create_budget(services, number, key.actor, terms)
    for cost in (0.9, 0.2):
        action = Action("bot", SAID, environment="production", estimated_cost=cost)
        await enforce_policy(services, rig.agent_key, Asked(action, "00" * 32))
    await set_agent_status(services, key, "bot", AgentStatus.ACTIVE, SAID)
    denied, granted, expired = [await ask_approval(services, key) for _ in range(3)]
    await deny_approval(services, ada, denied, SAID)
    await grant_approval(services, ada, granted, SAID)
    await verify_approval(services, key, granted, digest_of({**ACTION, "input": "another"}))
    rig.clock.pushed_us += max(APPROVAL_LIFE_US, CERTIFICATE_LIFE_US)
    await sweep_approvals(services)
    assert expired
    report = BypassReport(
        id="w1", kind="window", agent="bot", reason="network_error", source="fail_open_network_error", first_at_us=1,
        last_at_us=2, calls=3, windows=1, message=SAID, status=None, consecutive_failures=None, sdk="python"
    )  # fmt: skip
    await report_bypasses(services, key, [report, report])
    await change_destination(services, number, rig.destination.id, Wanted(ddtags="team:a"))


async def test_each_kind_is_streamed_exactly_once_for_each_entry(rig, events) -> None:
    """Whatever governs and changes arrives, once, under its kind's name; what people wrote, and who they are, never."""
    number = rig.organization.number
    await everything(rig)
    async with rig.worker():
        await rig.keys()
        await rig.until_held()
        await rig.keys(KEY)
        await enable_destination(rig.services, number, rig.destination.id)
        await disable_destination(rig.services, number, rig.destination.id)
        await enable_destination(rig.services, number, rig.destination.id)
        span = await gap_span(rig.services, number, rig.destination.id)
        await send_past(rig.services, number, rig.destination.id, span, report=lambda *_: None)
        counts = await rig.until(lambda counts: counts.waiting == 0)

    told = await events()
    wanted = [(each.kind, each.seq) for each in await entries(rig) if each.kind in STREAMED]
    before = min(log["execlave"]["audit_seq"] for log in told)
    assert wanted[: len(wanted) - len(told)] == [each for each in wanted if each[1] < before]
    assert sorted(each for each in wanted if each[1] >= before) == sorted(
        (log["execlave"]["event"], log["execlave"]["audit_seq"]) for log in told
    )
    assert {log["execlave"]["event"] for log in told} == STREAMED
    assert len({log["execlave"]["delivery_key"] for log in told}) == len(told) == counts.events
    everything_sent = json.dumps([{**log, "agent_name": None} for log in await rig.every_log()])
    assert SAID not in everything_sent
    assert "ada@example.com" not in everything_sent
    assert not [log for log in told if "status" in log]
    assert counts.committed == counts.delivered + counts.waiting + counts.parked


async def test_a_destination_that_is_switched_off_gets_none(rig, events) -> None:
    """Two destinations, one without events: the other one gets them, and the sums of both close."""
    quiet = await second(rig, events=False)
    key = await register(rig)
    await rig.ingest(3)
    await set_agent_status(rig.services, key, "bot", AgentStatus.PAUSED, None)
    await change_destination(rig.services, rig.organization.number, quiet, Wanted(ddtags="quiet:yes"))
    span = PastSpan(Past.BACKFILL, 0, 1 << 62)
    await send_past(rig.services, rig.organization.number, quiet, span, report=lambda *_: None)
    async with rig.worker():
        async with asyncio.timeout(20):
            while any(each.waiting for each in await count_deliveries(rig.services, rig.organization.number)):
                await asyncio.sleep(0.02)

    counted = {each.id: each for each in await count_deliveries(rig.services, rig.organization.number)}
    told = await events()
    assert (counted[quiet].committed, counted[quiet].delivered, counted[quiet].events) == (3, 3, 0)
    assert counted[rig.destination.id].events == len(told) == 5  # itself changed; the other added, enabled, changed
    assert {log["ddtags"] for log in told if "ddtags" in log} == set()
    assert await examine(rig) == (set(), [(8, 8, 0, 0), (3, 3, 0, 0)])


async def test_events_switched_off_are_replayed_to_nobody(rig, events) -> None:
    """Once a destination takes no events, neither a backfill nor a replay brings it any."""
    number, identity = rig.organization.number, rig.destination.id
    await rig.ingest(2)
    async with rig.worker():
        await rig.until(lambda counts: counts.waiting == 0)
        before = len(await events())
        await change_destination(rig.services, number, identity, Wanted(events=False))
        for span in (
            PastSpan(Past.BACKFILL, 0, 1 << 62),
            PastSpan(Past.REPLAY, 0, 1 << 62, new_replay_id(rig.services)),
        ):
            await send_past(rig.services, number, identity, span, report=lambda *_: None)
        async with asyncio.timeout(20):
            while len(await rig.logs()) < 4:
                await asyncio.sleep(0.02)
        await rig.until(lambda counts: counts.waiting == 0)

    assert (before, len(await events())) == (1, 1)
    assert (await examine(rig))[0] == set()


async def test_an_organization_without_a_taker_keeps_no_logs_of_events(rig) -> None:
    """Where no destination takes events the chain alone has them: no batch, no log."""
    [(before,)] = await rig.services.store.rows("newest_batch")

    await register(rig)
    await issue_key(rig.services, rig.organization, name="", environment=KeyEnvironment.STAGING, role=Role.AGENT)

    assert await rig.services.store.rows("newest_batch") == [(before,)]


async def test_a_refused_event_is_parked_alone_and_requeued(rig, events) -> None:
    """An intake that refuses an event's log parks that log; the traces beside it arrive, and it does once requeued."""
    key = await register(rig)
    await rig.faults({"status": 400, "contains": "agent.status_changed", "times": None})
    await rig.ingest(4)
    await set_agent_status(rig.services, key, "bot", AgentStatus.PAUSED, None)
    async with rig.worker():
        await rig.until(lambda counts: counts.waiting == 0)
        parked = await list_parked(rig.services, rig.organization.number, destination_id=None, after=0, limit=10)
        examined = await examine(rig)
        await rig.faults()
        await requeue_parked(rig.services, rig.organization.number, [each.id for each in parked])
        counts = await rig.until(lambda counts: counts.waiting == 0 and counts.parked == 0)

    assert [json.loads(each.payload)["execlave"]["event"] for each in parked] == ["agent.status_changed"]
    assert examined == (set(), [(6, 5, 0, 1)])
    assert (counts.delivered, len(await events())) == (6, 2)


async def test_an_event_of_a_write_that_fails_is_told_to_nobody(rig, events) -> None:
    """An event goes with what it tells: an approval decided twice is one decision and one log."""
    key = await register(rig)
    office = Office(rig.services, rig.organization, key, None)  # type: ignore[arg-type] - its people come here
    people = [await office.person(f"p{number}@example.com", PersonRole.APPROVER) for number in range(4)]
    approval = await ask_approval(rig.services, key)

    answers = await asyncio.gather(
        *(deny_approval(rig.services, person, approval, SAID) for person in people), return_exceptions=True
    )
    async with rig.worker():
        await rig.until(lambda counts: counts.waiting == 0)

    assert sum(isinstance(each, ConflictError) for each in answers) == len(people) - 1
    assert [log["execlave"]["outcome"] for log in await events() if "outcome" in log["execlave"]] == ["denied"]


async def test_events_go_with_retention_and_the_evidence_stays_whole(rig, events) -> None:
    """A sweep takes the logs of old events and leaves their entries; nothing is found missing."""
    key = await register(rig)
    await set_agent_status(rig.services, key, "bot", AgentStatus.PAUSED, None)
    await rig.ingest(2)
    async with rig.worker():
        await rig.until(lambda counts: counts.waiting == 0)

    swept = await Sweep(rig.services.store, rig.clock, SweepWanted(rig.clock.now_us() + 1)).run()

    left = await rig.services.store.rows("evidence_event_logs", {"after": 0, "last": 1 << 40})
    logs = [json.dumps(log).encode() for log in await rig.every_log()]
    verified = await verify(rig, Kept(logs=[each for each in log_anchors(logs) if each]))
    assert (swept.batches, swept.traces, left) == (3, 2, [])
    assert (verified.findings, verified.logs) == ([], 4)
    assert await examine(rig) == (set(), [(0, 0, 0, 0)])
    assert len(await events()) == 2


@pytest.mark.usefixtures("events")
@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("update event_logs set log = (select audit_hash from batches limit 1) where position = 0", Code.EVENT_CHANGED),
        ("update event_logs set seq = seq + 1 where position = 0", Code.EVENT_CHANGED),
        ("update event_logs set occurred_at_ms = 1 where position = 0", Code.EVENT_CHANGED),
        ("update event_logs set organization = 99 where position = 0", Code.EVENT_CHANGED),
        ("update event_logs set position = 7 where position = 0", Code.EVENT_ADDED),
        ("update event_logs set batch = 4000 where position = 0", Code.EVENT_MISSING),
        ("delete from event_logs", Code.EVENT_MISSING),
        ("update batches set event_count = 3 where event_count = 1", Code.BATCH_CHANGED),
    ],
)
async def test_tampering_with_an_event_s_log_is_found(rig, statement, code) -> None:
    """Each column of an event's log is evidence: it is a leaf of its batch's tree."""
    await register(rig)
    assert (await verify(rig)).findings == []

    await tamper(rig.services.settings, statement)

    assert code in {finding.code for finding in (await verify(rig)).findings}


async def test_the_log_of_an_event_in_datadog_is_held_against_the_chain(rig, events) -> None:
    """An event that Datadog has and the chain does not, or says otherwise, is found."""
    async with rig.worker():
        await rig.until(lambda counts: counts.waiting == 0)
    [log] = await events()
    log["execlave"]["event"] = "key.revoked"
    [another] = log_anchors([json.dumps(log).encode()])

    verified = await verify(rig, Kept(logs=[another]))

    assert [finding.code for finding in verified.findings] == [Code.LOG_MISSING]


@pytest.mark.usefixtures("events")
async def test_the_database_refuses_to_change_an_event_s_log(rig) -> None:
    """Neither update nor delete passes the triggers."""
    for statement in ("update event_logs set seq = 1", "delete from event_logs"):
        with pytest.raises(Exception, match=r"never changes|only deleted by a sweep"):
            await read_beside(rig, statement)


async def read_beside(rig, statement: str) -> list[tuple[Any, ...]]:
    """A statement of somebody who owns the database, with its triggers; its rows."""
    if not rig.services.settings.database_url:
        with closing(apsw.Connection(str(rig.services.settings.database))) as connection:
            connection.set_busy_timeout(5_000)
            return list(connection.execute(statement))
    session = await asyncpg.connect(rig.services.settings.database_url)
    try:
        return [tuple(row) for row in await session.fetch(statement)]
    finally:
        await session.close()


async def test_a_backfill_asks_nothing_of_batches_of_decisions(rig) -> None:
    """A batch that holds only decisions has no log: a backfill over it leaves the ledger in order."""
    await enforce_policy(rig.services, rig.agent_key, Asked(Action("nobody", "hello"), "00" * 32))
    await rig.ingest(1)

    span = PastSpan(Past.BACKFILL, 0, 1 << 62)
    await send_past(rig.services, rig.organization.number, rig.destination.id, span, report=lambda *_: None)

    assert await examine(rig) == (set(), [(1, 0, 1, 0)])
