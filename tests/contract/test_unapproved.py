# ruff: noqa: S608 - the statements are made of this file's own words
"""An action that a person denies, or that nobody decides about, leaves one trace and gives back its money."""

import asyncio
import json
from dataclasses import replace

import msgspec
import pytest

from approvals import ACTION, ask_approval, digest_of
from budget_rig import BudgetRig, open_rig
from execlave_server.actions.decide_approval import deny_approval, grant_approval
from execlave_server.actions.edit_policy import create_policy, delete_policy
from execlave_server.actions.enforce_policy import Asked, enforce_policy
from execlave_server.actions.erase_content import erase_user
from execlave_server.actions.lapse_reservations import lapse_reservations
from execlave_server.actions.meter import APPROVAL_RESERVATION_US
from execlave_server.actions.read_policies import list_policies
from execlave_server.actions.sweep import Sweep, Wanted
from execlave_server.actions.sweep_approvals import sweep_approvals
from execlave_server.actions.verify_approval import verify_approval
from execlave_server.actions.verify_evidence import Kept, verify_evidence
from execlave_server.model.action_context import digest_context, seal_context
from execlave_server.model.approvals import APPROVAL_LIFE_US, CERTIFICATE_LIFE_US
from execlave_server.model.decisions import Decision
from execlave_server.model.organizations import Organization
from execlave_server.model.people import PersonRole
from execlave_server.model.traces import TraceStatus
from execlave_server.policy.action import Action
from office import Office, open_office, services_on
from policies import body_of

SECRET = "because of the customer's illness"


@pytest.fixture
async def office(store, clock, tmp_path) -> Office:
    """An organization with an agent's key and somebody who may decide."""
    return await open_office(services_on(store, clock, tmp_path))


@pytest.fixture
def blocked(read):
    """The logs of traces that say an action was stopped, with their ids."""

    async def look():
        rows = await read(f"select trace_id, span_id, log from traces where status = {TraceStatus.POLICY_BLOCKED.code}")
        return [(trace_id, span_id, msgspec.json.decode(b"{%b}}" % log)) for trace_id, span_id, log in rows]

    return look


async def test_a_denied_action_leaves_one_trace(office, read, blocked):
    """It is policy_blocked, of the tool, under the request's trace and the decision's span; never with the reason."""
    approval = await ask_approval(office.services, office.key)
    [(decision,)] = await read(f"select decision from approvals where id = '{approval}'")

    await deny_approval(office.services, office.ada, approval, SECRET)

    [(trace_id, span_id, log)] = await blocked()
    assert (trace_id, span_id, log["execlave"]["decision_id"]) == ("tr_1", decision, decision)
    assert (log["span_type"], log["span_name"], log["status"]) == ("tool", "refund", "policy_blocked")
    assert (log["error_type"], log["error_message"]) == (
        "PolicyDeniedError",
        "A person denied the action: A person decides",
    )
    assert log["execlave"]["policy_ids"] == ["pol_1"]
    assert SECRET not in json.dumps(log)


async def test_of_many_denials_one_leaves_a_trace(office, engine, tmp_path, clock, blocked):
    """People on two servers deny at the same moment: one decides, one trace."""
    approval = await ask_approval(office.services, office.key)
    people = [await office.person(f"p{number}@example.com", PersonRole.APPROVER) for number in range(4)]
    store = await engine.open(tmp_path, clock)
    servers = [office.services, services_on(store, clock, tmp_path)]

    answers = await asyncio.gather(
        *(deny_approval(servers[number % 2], person, approval, SECRET) for number, person in enumerate(people)),
        return_exceptions=True,
    )
    await store.close()

    assert sum(not isinstance(answer, Exception) for answer in answers) == 1
    assert len(await blocked()) == 1


async def test_an_expired_action_leaves_one_trace_whoever_sweeps(office, engine, tmp_path, clock, blocked):
    """Two servers sweep at the same moment: each approval that ran out is one trace, and one entry."""
    for _ in range(5):
        await ask_approval(office.services, office.key)
    clock.advance(seconds=APPROVAL_LIFE_US // 1_000_000)
    store = await engine.open(tmp_path, clock)

    swept = await asyncio.gather(
        *(sweep_approvals(each) for each in (office.services, services_on(store, clock, tmp_path))),
    )
    await store.close()

    logs = await blocked()
    assert sum(each.expired for each in swept) == len(logs) == 5
    assert {log["error_type"] for _, _, log in logs} == {"ApprovalTimeoutError"}
    assert len({span_id for _, span_id, _ in logs}) == 5
    assert len(await office.told("approval.expired")) == 5


async def test_what_is_granted_leaves_none(office, clock, blocked):
    """A granted action reports itself, also when its certificate ran out unused: it was not blocked."""
    approval = await ask_approval(office.services, office.key)
    await grant_approval(office.services, office.ada, approval, "Ticket 4711")
    clock.advance(seconds=APPROVAL_LIFE_US // 1_000_000)

    await sweep_approvals(office.services)

    assert await blocked() == []
    assert len(await office.told("approval.execution_unverified")) == 1


class Money:
    """An agent whose tool needs an approval, under a budget."""

    def __init__(self, rig: BudgetRig, office: Office) -> None:
        self.rig, self.office = rig, office

    async def ask(self, cost: float = 2.0, **said) -> Decision:
        """Ask for an action that a person must approve."""
        action = Action("bot", "pay", environment="production", estimated_cost=cost, tools=("pay",), metadata=said)
        digest = digest_context(seal_context({"input": msgspec.Raw(b'"pay"')}))
        return await enforce_policy(self.rig.services, self.rig.presented, Asked(action, digest))


@pytest.fixture
async def money(store, clock, tmp_path, read) -> Money:
    """A budget of 5 dollars a day, and a policy that asks a person about every tool."""
    rig = await open_rig(store, clock, tmp_path, read)
    [organization] = await rig.services.store.find(Organization, "list_organizations")
    office = Office(rig.services, organization, rig.key, None)  # type: ignore[arg-type] - she comes next
    office = replace(office, ada=await office.person("ada@example.com", PersonRole.APPROVER))
    await rig.rule(5.0)
    await create_policy(rig.services, rig.number, "key:k", body_of("action_approval", mode="require_approval"))
    return Money(rig, office)


async def test_money_of_an_approval_is_held_until_it_is_used(money, store, clock):
    """Through the whole of an approval's life and its certificate's, then ten minutes for the trace to come."""
    rig, office = money.rig, money.office
    decision = await money.ask()
    clock.advance(seconds=(APPROVAL_LIFE_US - 1) // 1_000_000)
    await lapse_reservations(store, clock)
    pending = await rig.money()
    await grant_approval(office.services, office.ada, decision.approval_id, "yes")
    clock.advance(seconds=(CERTIFICATE_LIFE_US - 1) // 1_000_000)
    await lapse_reservations(store, clock)
    granted = await rig.money()
    used = await verify_approval(rig.services, rig.key, decision.approval_id, decision.action_digest)
    clock.advance(seconds=599)
    await lapse_reservations(store, clock)
    running = await rig.money()
    clock.advance(seconds=2)
    await lapse_reservations(store, clock)

    assert used.valid
    assert (pending, granted, running, await rig.money()) == ((0, 2), (0, 2), (0, 2), (0, 0))


async def test_no_other_trace_takes_an_approvals_money(money):
    """While it waits only its own decision claims it; once it may run, the agent's next trace does."""
    rig, office = money.rig, money.office
    decision = await money.ask()
    await rig.send({"traceId": "other", "agentId": "bot", "costUsd": 1.0, "metadata": {"spanId": "s"}})
    waiting = await rig.money()
    await grant_approval(office.services, office.ada, decision.approval_id, "yes")
    await verify_approval(rig.services, rig.key, decision.approval_id, decision.action_digest)
    await rig.send({"traceId": "its own", "agentId": "bot", "costUsd": 1.5, "metadata": {"spanId": "s"}})

    assert waiting == (1.0, 2.0)
    assert await rig.money() == (2.5, 0)


@pytest.mark.parametrize("end", ["denied", "expired", "unverified"])
async def test_money_of_what_will_not_run_is_free_at_once(money, clock, end):
    """Denied, expired, or approved and never used: the budget has its room again with that very commit."""
    rig, office = money.rig, money.office
    decision = await money.ask(cost=4.0)
    if end == "denied":
        await deny_approval(office.services, office.ada, decision.approval_id, "no")
    elif end == "unverified":
        await grant_approval(office.services, office.ada, decision.approval_id, "yes")
    clock.advance(seconds=APPROVAL_LIFE_US // 1_000_000)
    if end != "denied":
        await sweep_approvals(office.services)

    assert await rig.money() == (0, 0)
    assert await rig.read("select count(*) from reservations") == [(0,)]


async def test_erasing_a_user_erases_approvals(money, read, clock):
    """Those of the user's actions, or asked for by the user, lose content, digest and reason; open ones the content."""
    rig, office = money.rig, money.office
    for said in ({"userId": "u1"}, {"requestedBy": "U1"}, {"userId": "u2"}):
        decision = await enforce_policy(
            rig.services,
            rig.presented,
            Asked(
                Action("bot", "pay", environment="production", tools=("pay",), metadata=said),
                digest_of(ACTION),
                context=b'{"input":"pay u1"}',
                user_id=said.get("userId"),
            ),
        )
        await deny_approval(office.services, office.ada, decision.approval_id, SECRET)
    waiting = await enforce_policy(
        rig.services,
        rig.presented,
        Asked(Action("bot", "p", environment="production", tools=("pay",)), "ab" * 32, b'{"input":"p"}', user_id="u1"),
    )

    erased = await erase_user(rig.services, office.organization, "u1", lambda *_: None)
    left = await read(
        "select action_context is null, action_digest = '', decision_reason is null, requester is null, user_id, salt "
        "from approvals order by requested_at_us, id"
    )
    clock.advance(seconds=APPROVAL_LIFE_US // 1_000_000)
    await sweep_approvals(office.services)
    again = await erase_user(rig.services, office.organization, "u1", lambda *_: None)

    assert (erased.approvals, erased.open_approvals, erased.traces) == (2, 1, 1)
    gone = [row for row in left if row[1]]
    assert len(gone) == 2
    assert all(row[:4] == (True, True, True, True) and row[4:] == (None, b"") for row in gone)
    assert sum(bool(row[0]) for row in left) == 3
    assert (again.approvals, again.open_approvals) == (1, 0)
    assert waiting.approval_id
    verified = await verify_evidence(rig.services.store, rig.number, Kept(), lambda *_: None)
    assert verified.findings == []
    assert await read("select count(*) from approvals where user_id = 'u1' or requester is not null") == [(0,)]


async def test_approvals_go_with_retention(office, store, clock, read):
    """A sweep removes those whose time is over and are old enough, and leaves the rest; the chain keeps its entries."""
    old = await ask_approval(office.services, office.key)
    clock.advance(seconds=3_600)
    await sweep_approvals(office.services)
    between = clock.now_us()
    clock.advance(seconds=1)
    young = await ask_approval(office.services, office.key)

    would = await Sweep(store, clock, Wanted(between, dry_run=True)).run()
    swept = await Sweep(store, clock, Wanted(between)).run()

    assert (would.approvals, swept.approvals) == (1, 1)
    assert await read("select id from approvals") == [(young,)]
    assert [each["approval"] for each in await office.told("approval.requested")] == [old, young]


@pytest.mark.parametrize(("wanted", "told"), [((False,), 0), ((False, True), 1)])
async def test_a_policy_may_have_it_untold_that_an_approval_went_unused(money, clock, wanted, told):
    """Where none of the policies that asked wants the alert there is none; the money is free all the same."""
    rig, office = money.rig, money.office
    [asking] = await list_policies(rig.services.store, rig.number)
    for number, alert in enumerate(wanted):
        body = body_of("action_approval", mode="require_approval", name=f"p{number}", alertOnUnverifiedExecution=alert)
        await create_policy(rig.services, rig.number, "key:k", body)
    await delete_policy(rig.services, rig.number, "key:k", asking.id)
    decision = await money.ask()
    await grant_approval(office.services, office.ada, decision.approval_id, "yes")
    clock.advance(seconds=APPROVAL_RESERVATION_US // 1_000_000 + 1)
    await sweep_approvals(office.services)
    await lapse_reservations(rig.services.store, clock)

    assert len(await office.told("approval.execution_unverified")) == told
    assert await rig.money() == (0, 0)
