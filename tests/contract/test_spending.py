"""Budgets on both engines: what is reserved, what is spent in its place, and that no cap is ever passed."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from budget_rig import BudgetRig, beside, open_rig
from execlave_server.actions.edit_budget import change_budget, delete_budget
from execlave_server.actions.lapse_reservations import lapse_reservations
from execlave_server.actions.read_budget_usage import read_usage
from execlave_server.actions.read_budgets import get_budget
from execlave_server.model.agents import AgentStatus
from execlave_server.model.decisions import Outcome
from execlave_server.model.traces import TraceStatus

ALLOWED, WARNED, BLOCKED = Outcome.ALLOWED, Outcome.WARNED, Outcome.BLOCKED
TASKS = 40


@pytest.fixture
async def rig(store, clock, tmp_path, read) -> BudgetRig:
    """A server with one agent."""
    rig = await open_rig(store, clock, tmp_path, read)
    await rig.register("support-bot")
    return rig


@pytest.fixture
async def new_server(engine, rig, clock, tmp_path) -> AsyncIterator[Callable[[], Awaitable[BudgetRig]]]:
    """Opens further servers of the same organization, each on a store of its own."""
    stores = []

    async def opened() -> BudgetRig:
        stores.append(await engine.open(tmp_path, clock))
        return beside(rig, stores[-1], clock, tmp_path)

    yield opened
    for store in stores:
        await store.close()


def span(name: str, cost: float | None = None, parent: str | None = None, **more: Any) -> dict[str, Any]:
    """A span of the trace t."""
    said = {"traceId": "t", "metadata": {"spanId": name, "parentSpanId": parent}, **more}
    return said if cost is None else {**said, "costUsd": cost}


class TestCosts:
    async def test_a_cost_is_counted_in_every_window(self, rig):
        """Organization and agent are counted together and apart, in each window."""
        await rig.send({"traceId": "t", "costUsd": 0.25}, {"traceId": "u", "costUsd": 0.5, "agentId": "nobody"})

        for window in ("1m", "1h", "1d", "1mo"):
            assert await rig.money("org", window) == (0.75, 0)
            assert await rig.money("agent", window) == (0.75, 0)
        assert await rig.read("select count(*) from meters") == [(12,)]

    async def test_a_retried_request_counts_once(self, rig):
        """The same request again, and the same trace twice in one, add nothing."""
        request = [span("a", 0.25), span("b", 0.5, "a")]

        first = await rig.send(*request, request[1])
        second = await rig.send(*request)

        assert (first.duplicates, second.duplicates) == (1, 2)
        assert await rig.money() == (0.5, 0)

    async def test_requests_that_race_with_the_same_traces_count_once(self, rig):
        """However many copies of a request wait together, each trace is counted once."""
        await asyncio.gather(
            *(rig.send(*({"traceId": f"t{number}", "costUsd": 1} for number in range(5))) for _ in "abcdefgh")
        )

        assert await rig.money() == (5, 0)

    async def test_a_conflict_counts_nothing(self, rig):
        """What is refused for another trace under its id costs nothing."""
        await rig.send(span("a", 0.25))

        result = await rig.send(span("a", 0.75))

        assert len(result.refused) == 1
        assert await rig.money() == (0.25, 0)

    async def test_a_retry_releases_no_other_reservation(self, rig):
        """A duplicate claims nothing: the next decision keeps what it reserved."""
        await rig.rule(10)
        await rig.ask(1.0)
        await rig.send({"traceId": "t", "costUsd": 0.5})
        await rig.ask(2.0)

        await rig.send({"traceId": "t", "costUsd": 0.5})

        assert await rig.money() == (0.5, 2)

    @pytest.mark.parametrize("cost", [-1, 0, None])
    async def test_what_costs_nothing_counts_nothing(self, rig, cost):
        """No cost, none at all, and a negative one leave every meter alone."""
        await rig.send({"traceId": "t", "costUsd": cost})

        assert await rig.read("select count(*) from meters") == [(0,)]

    async def test_an_absurd_cost_is_stored_and_overflows_nothing(self, rig):
        """Costs beyond anything stop the meter at its end instead of failing the request."""
        for number in range(12):
            assert (await rig.send({"traceId": f"t{number}", "costUsd": 1e15})).accepted == 1

        used, _ = await rig.money()
        assert 1e9 < used < 2e9

    async def test_users_and_workspaces_are_counted_where_a_rule_asks(self, rig):
        """Their meters exist only for the windows of their rules, and do not name them."""
        await rig.rule(5, scope="user", window="1h")
        await rig.rule(5, scope="workspace")
        await rig.send(
            {"traceId": "t", "costUsd": 1, "userId": "ada", "metadata": {"workspaceId": "w1"}},
            {"traceId": "u", "costUsd": 2, "userId": 7},
        )

        assert await rig.money("user", "1h") == (3, 0)
        assert await rig.money("workspace", "1d") == (1, 0)
        assert await rig.money("user", "1d") == (0, 0)
        assert await rig.read("select count(*) from meters where meter like '%ada%'") == [(0,)]

    async def test_a_rule_made_on_another_server_is_counted_at_once(self, rig, new_server):
        """A server that remembers older rules reads them again inside the commit."""
        await rig.send({"traceId": "t", "costUsd": 1, "userId": "ada"})
        await (await new_server()).rule(5, scope="user")

        await rig.send({"traceId": "u", "costUsd": 2, "userId": "ada"})

        assert await rig.money("user") == (2, 0)


class TestRoots:
    async def test_a_root_counts_when_nothing_below_it_costs(self, rig):
        """A root over spans without costs is what the trace cost."""
        await rig.send(span("child", None, "root"), span("root", 0.5))

        assert await rig.money() == (0.5, 0)

    async def test_a_root_does_not_count_over_costs_in_its_request(self, rig):
        """What the spans below cost stands in the root's sum already."""
        await rig.send(span("root", 0.5), span("a", 0.25, "root"), span("b", 0.25, "a"))

        assert await rig.money() == (0.5, 0)

    async def test_a_root_does_not_count_over_costs_that_are_stored(self, rig):
        """The root comes last, often in a request of its own."""
        await rig.send(span("a", 0.25, "root"), span("b", 0.125, "root"))

        await rig.send(span("root", 0.375))

        assert await rig.money() == (0.375, 0)

    async def test_spans_without_costs_that_are_stored_do_not_matter(self, rig):
        """A root whose stored spans cost nothing counts."""
        await rig.send(span("a", None, "root"), span("a", 0.5, "root", traceId="another"))

        await rig.send(span("root", 0.25))

        assert await rig.money() == (0.75, 0)

    async def test_another_organizations_spans_do_not_matter(self, rig, store, clock, tmp_path, read):
        """The same trace id elsewhere says nothing."""
        globex = await open_rig(store, clock, tmp_path, read)
        await globex.send(span("a", 1, "root"))

        await rig.send(span("root", 0.25))

        assert await rig.money() == (0.25, 0)


class TestReservations:
    async def test_a_cost_takes_the_place_of_the_reservation(self, rig):
        """After the trace nothing is reserved, and what it cost is spent: in every meter."""
        await rig.rule(10, scope="user")
        await rig.ask(2.0, userId="ada")
        reserved = [await rig.money(scope) for scope in ("org", "agent", "user")]

        await rig.send({"traceId": "t", "costUsd": 0.5, "userId": "ada"})

        assert reserved == [(0, 2)] * 3
        assert [await rig.money(scope) for scope in ("org", "agent", "user")] == [(0.5, 0)] * 3
        assert await rig.read("select count(*) from reservations") == [(0,)]

    async def test_the_decision_that_a_trace_names_is_claimed(self, rig):
        """The id echoed in `enforcement.warnings` comes before trace ids and age."""
        await rig.rule(10)
        await rig.ask(1.0)
        named = await rig.ask(2.0)
        echoed = {"enforcement": {"warnings": [{"decisionId": named.id}, "odd", {"decisionId": 7}]}}

        await rig.send({"traceId": "t", "costUsd": 0.5, "metadata": echoed})

        assert await rig.money() == (0.5, 1)

    @pytest.mark.parametrize("trace", [{"traceId": "t2"}, {"traceId": "x", "metadata": {"traceId": "t2"}}])
    async def test_the_trace_that_a_decision_names_claims_it(self, rig, trace):
        """A decision that was asked for with a trace id waits for that trace."""
        await rig.rule(10)
        await rig.ask(1.0, traceId="t1")
        await rig.ask(2.0, traceId="t2")

        await rig.send({"costUsd": 0.5, **trace})

        assert await rig.money() == (0.5, 1)

    async def test_else_the_agents_oldest_is_claimed(self, rig, clock):
        """A trace that names nothing claims the oldest of its agent, but none that waits for another trace."""
        await rig.rule(100)
        await rig.register("other-bot")
        for cost, agent, metadata in (
            (1, "other-bot", {}),
            (2, "support-bot", {"traceId": "mine"}),
            (4, "support-bot", {}),
            (8, "support-bot", {}),
        ):
            await rig.ask(cost, agent, **metadata)
            clock.advance(seconds=1)

        await rig.send({"traceId": "t", "costUsd": 0.5})

        assert await rig.money() == (0.5, 11)

    async def test_each_trace_of_a_request_claims_its_own(self, rig):
        """Two traces claim two reservations, however they race with the same claim elsewhere."""
        await rig.rule(10)
        await rig.ask(1.0)
        await rig.ask(2.0)

        await asyncio.gather(*(rig.send({"traceId": f"{name}", "costUsd": 0.5}) for name in "ab"))
        await rig.send({"traceId": "c", "costUsd": 0.5})

        assert await rig.money() == (1.5, 0)

    async def test_what_nobody_claims_lapses(self, rig, clock, store):
        """Ten minutes after the decision the money is free again, once."""
        await rig.rule(10)
        await rig.ask(2.0)
        clock.advance(seconds=599)
        early = await lapse_reservations(store, clock)
        clock.advance(seconds=1)

        late = [await lapse_reservations(store, clock) for _ in "ab"]

        assert (early, late) == (0, [1, 0])
        assert await rig.money() == (0, 0)

    async def test_a_meter_is_forgotten_when_its_window_is_long_over(self, rig, clock, store):
        """The minute's meters go, the month's stay."""
        await rig.send({"traceId": "t", "costUsd": 1})
        clock.advance(seconds=60 + 49 * 60 + 1)  # as long as an approved action may keep its money

        await lapse_reservations(store, clock)

        assert await rig.money("org", "1m") == (0, 0)
        assert await rig.money("org", "1mo") == (1, 0)

    async def test_without_a_rule_nothing_is_reserved(self, rig):
        """Where nobody asks what is spent, decisions write no meters."""
        await rig.ask(2.0)

        assert await rig.read("select count(*) from meters") == [(0,)]
        assert await rig.read("select count(*) from reservations") == [(0,)]


class TestRules:
    async def test_a_cap_blocks_what_would_pass_it(self, rig):
        """To the cap and no further; the refusal says which rule, and counts as a limit."""
        rule = await rig.rule(0.3)

        answers = [await rig.ask(cost) for cost in (0.1, 0.2, 0.000000001, None)]

        assert [answer.outcome for answer in answers] == [ALLOWED, ALLOWED, BLOCKED, BLOCKED]
        (violation,) = answers[2].violations
        assert (violation.policy_id, violation.policy_type, violation.policy_version) == (rule, "budget_cap", 1)
        assert answers[2].status is TraceStatus.LIMIT_EXCEEDED
        assert await rig.money() == (0, 0.3)

    async def test_money_spent_before_the_rule_counts(self, rig):
        """A rule is held against the whole window."""
        await rig.send({"traceId": "t", "costUsd": 3})
        await rig.rule(3)

        assert (await rig.ask(0.1)).outcome is BLOCKED

    async def test_the_next_window_is_new(self, rig, clock):
        """A minute later there is a minute's budget again."""
        await rig.rule(1, window="1m")
        before = [(await rig.ask(1)).outcome for _ in "ab"]
        clock.advance(seconds=60)

        assert before == [ALLOWED, BLOCKED]
        assert (await rig.ask(1)).outcome is ALLOWED

    async def test_a_warning_rule_lets_go(self, rig):
        """`warn` says so and blocks nothing."""
        await rig.rule(1, "warn")

        outcomes = [(await rig.ask(1)).outcome for _ in "abc"]

        assert outcomes == [ALLOWED, WARNED, WARNED]
        assert await rig.money() == (0, 3)

    @pytest.mark.parametrize(("scope", "name"), [("agent", "support-bot"), ("user", "ada"), ("workspace", "w1")])
    async def test_a_rule_about_one_leaves_others_alone(self, rig, scope, name):
        """Named by `scopeId`, or each for itself without."""
        await rig.register("other-bot")
        mine, other = {"userId": "ada", "workspaceId": "w1"}, {"userId": "bob", "workspaceId": "w2"}
        named = await rig.rule(1, scope=scope, scope_id=name)
        first = [(await rig.ask(1, **mine)).outcome for _ in "ab"]
        free = [(await rig.ask(1, "other-bot", **other)).outcome for _ in "ab"]
        await delete_budget(rig.services, rig.number, "key:test", named)

        await rig.rule(3, scope=scope)

        assert (first, free) == ([ALLOWED, BLOCKED], [ALLOWED, ALLOWED])
        assert [(await rig.ask(1, **mine)).outcome for _ in "abc"] == [ALLOWED, ALLOWED, BLOCKED]
        assert [(await rig.ask(1, "other-bot", **other)).outcome for _ in "abcd"] == [ALLOWED] * 3 + [BLOCKED]

    async def test_nobody_pays_where_the_action_names_nobody(self, rig):
        """A rule about users says nothing of an action without one."""
        await rig.rule(0, scope="user")

        assert (await rig.ask(1)).outcome is ALLOWED
        assert (await rig.ask(1, userId="ada")).outcome is BLOCKED

    async def test_a_used_up_budget_pauses_the_agent(self, rig):
        """In the decision's own commit, with the reason and an entry of the chain; resumed, it is paused again."""
        await rig.rule(1, "pause_agent")
        await rig.ask(1)

        refused = await rig.ask(1)
        (agent,) = (await rig.services.agents.named(rig.key, ["support-bot"], fresh=True))["support-bot"]
        after = await rig.ask()
        await rig.resume("support-bot")
        again = await rig.ask(1)

        assert (refused.outcome, refused.violations[0].policy_type) == (BLOCKED, "budget_cap")
        assert (agent.status, agent.status_reason) == (
            AgentStatus.PAUSED,
            "The budget of $1.00 a day of the organization is used up",
        )
        assert after.violations[0].policy_type == "agent_status"
        assert again.violations[0].policy_type == "budget_cap"
        assert await rig.events("agent.status_changed") == 3  # paused, resumed, paused

    async def test_each_window_is_warned_and_hit_once(self, rig, clock):
        """However many decisions race, the chain has one warning and one hit for each window and version."""
        rule = await rig.rule(10, window="1h")
        for _ in range(2):
            await asyncio.gather(*(rig.ask(1) for _ in range(15)))
            clock.advance(seconds=3_600)

        assert (await rig.events("budget.warning"), await rig.events("budget.hit")) == (2, 2)
        terms = (await get_budget(rig.services.store, rig.number, rule)).rule.terms
        await change_budget(rig.services, rig.number, "key:test", rule, terms)
        await asyncio.gather(*(rig.ask(1) for _ in range(15)))
        assert (await rig.events("budget.warning"), await rig.events("budget.hit")) == (3, 3)
        assert await rig.events("budget.changed") == 2

    async def test_a_change_holds_from_the_next_decision_on(self, rig, new_server):
        """Also on a server that remembers the rules as they were."""
        rule = await rig.rule(1)
        other = await new_server()
        before = [(await server.ask(0.5)).outcome for server in (rig, other)]
        await delete_budget(rig.services, rig.number, "key:test", rule)

        after = (await other.ask(5)).outcome

        assert (before, after) == ([ALLOWED, ALLOWED], ALLOWED)

    async def test_the_usage_says_what_is_left(self, rig, clock):
        """Spent, reserved, remaining and the window's end."""
        rule = await rig.rule(10, scope="agent")
        await rig.ask(2)
        await rig.send({"traceId": "t", "costUsd": 3})
        await rig.ask(4)

        usage = await read_usage(
            rig.services, rig.key, (await get_budget(rig.services.store, rig.number, rule)).rule, "support-bot"
        )

        assert usage
        assert [usage.used, usage.reserved, usage.remaining] == [3 * 10**9, 4 * 10**9, 3 * 10**9]
        assert usage.meter.starts_at_us <= clock.now_us() < usage.meter.ends_at_us


class TestConcurrency:
    @pytest.mark.parametrize("servers", [1, 2])
    async def test_decisions_that_race_never_pass_a_cap(self, engine, rig, new_server, servers):
        """Many tasks, on two stores where the engine takes two: what goes through fits the cap, and fills it."""
        if servers == 2 and engine.name == "sqlite":
            pytest.skip("one server at a time holds a SQLite database")
        await rig.rule(10)
        await rig.rule(4, scope="user")
        rigs = [rig, *[await new_server() for _ in range(servers - 1)]]

        answers = await asyncio.gather(
            *(rigs[number % servers].ask(0.5, userId=f"u{number % 4}") for number in range(TASKS))
        )

        assert sum(answer.outcome is ALLOWED for answer in answers) == 20
        assert await rig.money() == (0, 10)
        assert all(
            0 <= reserved <= 4 * 10**9
            for (reserved,) in await rig.read("select used + reserved from meters where meter like 'spend:user:%'")
        )

    async def test_every_racer_is_answered(self, engine, rig, new_server):
        """Many decisions race through the thresholds and caps of many rules: none is put off, none passes a cap."""
        rigs = [rig, await new_server()] if engine.name == "postgres" else [rig]
        for number in range(8):
            scope, action = ("org", "agent", "user")[number % 3], ("block", "warn")[number % 2]
            await rig.rule(5 + number, action, scope, warning_threshold_pct=40 + 5 * number)

        answers = await asyncio.gather(
            *(
                rigs[number % len(rigs)].ask(0.1 if number % 3 else 1.0, userId=f"u{number % 2}")
                for number in range(150)
            )
        )

        assert {answer.outcome for answer in answers} == {ALLOWED, BLOCKED}
        assert await rig.money() == (0, 5)
        assert await rig.events("budget.hit") == 1

    @pytest.mark.parametrize("action", ["block", "pause_agent"])
    async def test_servers_that_count_do_not_cross(self, engine, rig, clock, new_server, action):
        """Decisions, pauses, traces and lapses of many agents on two servers wait for each other in one direction."""
        rigs = [rig, await new_server()] if engine.name == "postgres" else [rig]
        agents = [(await rig.register(f"bot-{number}")).agent_id for number in range(6)]
        await rig.rule(3, action, scope="agent")
        await rig.rule(30, "warn")

        with capture_logs() as logs:
            for turn in range(4):
                clock.advance(seconds=200)
                await asyncio.gather(
                    *(
                        work
                        for number, agent in enumerate(agents * 2)
                        for work in (
                            rigs[number % len(rigs)].ask(1, agent),
                            rigs[(number + 1) % len(rigs)].send(
                                {"traceId": f"{turn}-{number}", "agentId": agent, "costUsd": 0.25}
                            ),
                        )
                    ),
                    *(lapse_reservations(each.services.store, clock) for each in rigs),
                )

        assert [log["event"] for log in logs if log["event"] == "store.commit_crossed"] == []
        assert (await rig.money())[0] == 12

    @pytest.mark.parametrize("seed", range(4))
    async def test_money_is_neither_lost_nor_made(self, engine, rig, read, new_server, seed):
        """Decisions, traces, retries and lapses in any order: all meters hold exactly what is spent and reserved.

        Where each trace claims its own decision and costs no more than was said, both together never pass the cap.
        """
        chance, claims_its_own, clock = random.Random(seed), seed < 2, rig.services.clock  # noqa: S311 - a test's dice
        cap = 6.0
        await rig.rule(cap)
        rigs = [rig, await new_server()] if engine.name == "postgres" else [rig]
        waiting: list[tuple[str, float]] = []
        sent: dict[str, float] = {}

        async def decide(number: int) -> None:
            cost = chance.randrange(1, 100) / 100
            trace_id = f"t{seed}-{number}"
            asked = {"traceId": trace_id} if claims_its_own or chance.random() < 0.5 else {}
            if (await chance.choice(rigs).ask(cost, **asked)).outcome is ALLOWED:
                waiting.append((trace_id, cost))

        async def report() -> None:
            if not waiting:
                return
            trace_id, estimated = waiting.pop(chance.randrange(len(waiting)))
            cost = sent.setdefault(trace_id, round(estimated * chance.random(), 4))
            item = {"traceId": trace_id, "costUsd": cost}
            await asyncio.gather(*(chance.choice(rigs).send(item) for _ in range(chance.randrange(1, 4))))

        for step in range(12):
            some = [decide(step * 10 + number) for number in range(4)]
            await asyncio.gather(*some, *(report() for _ in range(3)))
            if not claims_its_own and chance.random() < 0.2:
                clock.advance(seconds=chance.choice([1, 601]))
                await asyncio.gather(*(lapse_reservations(each.services.store, clock) for each in rigs))
            ((reserved,),) = await read("select cast(coalesce(sum(amount), 0) as bigint) from reservations")
            for scope in ("org", "agent"):
                used, held = await rig.money(scope)
                assert used == pytest.approx(sum(sent.values()), abs=1e-9)
                assert held == pytest.approx(reserved / 1e9, abs=1e-9)
                assert not claims_its_own or used + held <= cap + 1e-9

        assert len(sent) > 5
