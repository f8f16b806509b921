"""Each type by itself, but for those that read texts."""

import json
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest

from execlave_server.model.policies import Phase
from execlave_server.model.verdicts import Ruling
from execlave_server.policy.action import ValidatorDecision
from execlave_server.policy.breaches import CannotEvaluateError
from execlave_server.policy.checks.custom_validator import judge_answer, question_of
from execlave_server.policy.checks.tool_integrity import descriptor_hash
from policies import NOW_US, SPENT, act, facts, judge, policy, rules_of

HASH, OTHER_HASH = "a" * 64, "b" * 64


def is_blocked(made, action=None, known=None) -> bool:
    """Whether the policy objects; it must have been evaluated."""
    verdict = judge(made, action, known)
    assert verdict.unevaluated == ()
    return verdict.ruling is Ruling.BLOCK


class TestAccessControl:
    @pytest.mark.parametrize(
        ("rule", "tools", "blocked"),
        [
            ({"denied_tools": ["send_email"]}, ("send_email",), True),
            ({"denied_tools": ["send_email"]}, ("send_emails",), False),
            ({"denied_tools": ["send_*"]}, ("send_email",), True),
            ({"denied_tools": ["*_prod"]}, ("drop_prod",), True),
            ({"denied_tools": ["*_prod"]}, ("drop_production",), False),
            ({"denied_tools": ["db.*.drop"]}, ("db.users.drop",), True),
            ({"denied_tools": ["db.*.drop"]}, ("db.drop",), False),
            ({"denied_tools": ["*a*b*c*"]}, ("xxaxxbxxcxx",), True),
            ({"denied_tools": ["*a*b*c*"]}, ("xxaxxcxxbxx",), False),
            ({"denied_tools": ["*"]}, ("anything",), True),
            ({"denied_tools": ["*"]}, (), False),
            ({"allowed_tools": ["search", "read_*"]}, ("search", "read_file"), False),
            ({"allowed_tools": ["search", "read_*"]}, ("search", "write_file"), True),
            ({"allowed_tools": []}, ("search",), True),
            ({"allowed_tools": []}, (), False),
            ({"allowed_tools": ["*"], "denied_tools": ["rm"]}, ("rm",), True),
        ],
    )
    def test_tools(self, rule, tools, blocked):
        """Denied wins over allowed, `*` is any characters, and an action without tools uses none."""
        assert is_blocked(policy("access_control", rule), act(tools=tools)) is blocked

    def test_a_long_wildcard_takes_no_time(self):
        """Many stars against a name that almost fits are matched in linear time."""
        made = policy("access_control", {"denied_tools": ["*a" * 120 + "*b"]})

        assert not is_blocked(made, act(tools=("a" * 200_000,)))

    def test_environments(self):
        """An action outside the allowed environments is refused, also one that names none."""
        made = policy("access_control", {"environments": ["staging"]})

        assert not is_blocked(made, act(environment="staging"))
        assert rules_of(judge(made, act(environment="production"))) == ["access_control.environment"]
        assert is_blocked(made, act(environment=None))

    @pytest.mark.parametrize(
        ("hours", "local", "blocked"),
        [
            ({"start": "09:00", "end": "17:00"}, "2025-12-11 09:00", False),
            ({"start": "09:00", "end": "17:00"}, "2025-12-11 08:59", True),
            ({"start": "09:00", "end": "17:00"}, "2025-12-11 16:59", False),
            ({"start": "09:00", "end": "17:00"}, "2025-12-11 17:00", True),
            ({"start": "22:00", "end": "06:00"}, "2025-12-11 23:00", False),
            ({"start": "22:00", "end": "06:00"}, "2025-12-12 05:59", False),
            ({"start": "22:00", "end": "06:00"}, "2025-12-12 06:00", True),
            ({"start": "22:00", "end": "06:00"}, "2025-12-12 12:00", True),
            ({"start": "09:00", "end": "17:00", "days": ["thu"]}, "2025-12-11 10:00", False),
            ({"start": "09:00", "end": "17:00", "days": ["thu"]}, "2025-12-12 10:00", True),
            ({"start": "22:00", "end": "06:00", "days": ["thu"]}, "2025-12-12 05:00", False),
            ({"start": "22:00", "end": "06:00", "days": ["thu"]}, "2025-12-11 05:00", True),
            ({"start": "22:00", "end": "06:00", "days": ["sun"]}, "2025-12-15 05:00", False),
        ],
    )
    @pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York"])
    def test_hours(self, hours, local, blocked, zone):
        """Hours are local, `end` excluded, and a span over midnight belongs to the day it starts on."""
        moment = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone))
        known = facts(now_us=int(moment.timestamp()) * 1_000_000)

        assert is_blocked(policy("access_control", {"hours": hours | {"time_zone": zone}}), act(), known) is blocked

    def test_hours_follow_summer_time(self):
        """Nine o'clock in Berlin is another moment in July than in December."""
        made = policy("access_control", {"hours": {"start": "09:00", "end": "10:00", "time_zone": "Europe/Berlin"}})
        july = int(datetime.fromisoformat("2025-07-11T07:30+00:00").timestamp()) * 1_000_000
        december = int(datetime.fromisoformat("2025-12-11T07:30+00:00").timestamp()) * 1_000_000

        assert not is_blocked(made, act(), facts(now_us=july))
        assert is_blocked(made, act(), facts(now_us=december))


class TestActionApproval:
    @pytest.mark.parametrize(
        ("rule", "more", "asked"),
        [
            ({}, {"tools": ("refund",)}, True),
            ({}, {"tools": ()}, False),
            ({"tools": ["refund*"]}, {"tools": ("search", "refund_order")}, True),
            ({"tools": ["refund*"]}, {"tools": ("search",)}, False),
            ({"min_cost": 5}, {"tools": ("refund",), "estimated_cost": 4.99}, False),
            ({"min_cost": 5}, {"tools": ("refund",), "estimated_cost": 5}, True),
        ],
    )
    def test_what_a_person_decides(self, rule, more, asked):
        """Actions with one of the tools and at least the cost wait for a person."""
        verdict = judge(policy("action_approval", rule, "require_approval"), act(**more))

        assert verdict.ruling is (Ruling.REQUIRE_APPROVAL if asked else Ruling.ALLOW)
        assert verdict.status is None


class TestCosts:
    @pytest.mark.parametrize(
        ("cost", "spent", "rule_ids"),
        [
            (None, 0.0, []),
            (1.0, 0.0, []),
            (1.01, 0.0, ["cost_limit.max_cost_per_execution"]),
            (0.5, 9.5, []),
            (0.51, 9.5, ["cost_limit.daily_budget"]),
            (None, 10.0, ["cost_limit.daily_budget"]),
            (-5.0, 10.0, ["cost_limit.daily_budget"]),
        ],
    )
    def test_cost_limit(self, cost, spent, rule_ids):
        """One action and the day are capped apart; reaching the cap is enough to stop."""
        made = policy("cost_limit", {"max_cost_per_execution": 1, "daily_budget": 10})
        verdict = judge(made, act(estimated_cost=cost), facts(spent_usd=SPENT | {"agent:1d": spent}))

        assert rules_of(verdict) == rule_ids

    def test_a_trace_is_held_to_the_cost_of_one_action(self):
        """Afterwards the money is spent: only what one action may cost is judged, without any sum."""
        made = policy("cost_limit", {"max_cost_per_execution": 1, "daily_budget": 10})
        known = facts(spent_usd={})

        assert not is_blocked(made, act(estimated_cost=1, phase=Phase.POST), known)
        assert is_blocked(made, act(estimated_cost=2, phase=Phase.POST), known)

    @pytest.mark.parametrize("scope", ["agent", "org"])
    @pytest.mark.parametrize("window", ["1m", "1h", "1d", "1mo"])
    def test_budget_cap(self, scope, window):
        """The sum of exactly this scope and window counts."""
        made = policy("budget_cap", {"cap_usd": 5, "scope": scope, "window": window})
        others = dict.fromkeys(SPENT, 100.0)

        assert not is_blocked(made, act(), facts(spent_usd=others | {f"{scope}:{window}": 4.99}))
        assert is_blocked(made, act(), facts(spent_usd=SPENT | {f"{scope}:{window}": 5.0}))

    def test_a_cap_of_nothing_lets_nothing_pass(self):
        """Zero means zero, also for what costs nothing."""
        assert is_blocked(policy("budget_cap", {"cap_usd": 0}))


class TestCounts:
    def test_rate_limit(self):
        """As many as allowed pass, the next one does not; only the named tools count."""
        made = policy("rate_limit", {"max_requests": 3, "tools": ["send_*"]})
        used = act(tools=("send_email",))

        assert not is_blocked(made, used, facts(counts={"pol_rate_limit": 2}))
        assert is_blocked(made, used, facts(counts={"pol_rate_limit": 3}))
        assert not is_blocked(made, act(tools=("search",)), facts(counts={"pol_rate_limit": 3}))

    def test_external_call_limit(self):
        """Each matching tool of an action is a call of its own."""
        made = policy("external_call_limit", {"max_calls": 3, "tools": ["http_*"]})
        two = act(tools=("http_get", "http_post", "search"))

        assert not is_blocked(made, two, facts(counts={"pol_external_call_limit": 1}))
        assert is_blocked(made, two, facts(counts={"pol_external_call_limit": 2}))
        assert not is_blocked(made, act(tools=("search",)), facts(counts={"pol_external_call_limit": 9}))


class TestDataRestriction:
    @pytest.mark.parametrize(
        "more",
        [
            {"metadata": {"recordCount": 11}},
            {"metadata": {"toolArguments": {"record_count": 11}}},
            {"metadata": {"toolInput": json.dumps({"recordCount": 11})}},
            {"tool_outputs": ({"name": "sql", "output": json.dumps([{}] * 11)},)},
            {"tool_outputs": ({"name": "sql", "output": [{}] * 11},)},
            {"output": [{}] * 11, "phase": Phase.POST},
        ],
    )
    def test_records(self, more):
        """Records are counted where the action declares them, and in what tools returned."""
        assert is_blocked(policy("data_restriction", {"max_records": 10}), act(**more))
        assert not is_blocked(policy("data_restriction", {"max_records": 11}), act(**more))

    @pytest.mark.parametrize(
        "metadata",
        [
            {"dataSource": "hr_payroll"},
            {"data_sources": ["crm", "hr_payroll"]},
            {"toolArguments": {"dataSource": "hr_payroll"}},
        ],
    )
    def test_sources(self, metadata):
        """Declared sources are held against both lists."""
        action = act(metadata=metadata)

        assert rules_of(judge(policy("data_restriction", {"denied_sources": ["hr_*"]}), action)) == [
            "data_restriction.denied_source"
        ]
        assert rules_of(judge(policy("data_restriction", {"allowed_sources": ["crm"]}), action)) == [
            "data_restriction.source_not_allowed"
        ]
        assert not is_blocked(policy("data_restriction", {"allowed_sources": ["crm", "hr_payroll"]}), action)


class TestToolIntegrity:
    PIN = {"server": "crm", "tool": "refund", "descriptorHash": HASH}  # noqa: RUF012 - never changed

    @pytest.mark.parametrize(
        ("rule", "descriptors", "rule_ids"),
        [
            ({"pinned": [PIN]}, [PIN], []),
            ({"pinned": [PIN]}, [PIN | {"descriptorHash": OTHER_HASH}], ["tool_integrity.changed"]),
            ({"pinned": [PIN]}, [PIN | {"tool": "wipe"}], ["tool_integrity.unpinned"]),
            ({"pinned": [PIN], "allow_unpinned": True}, [PIN | {"tool": "wipe"}], []),
            ({"pinned": [PIN]}, [], []),
            ({"pinned": [PIN], "require_descriptors": True}, [], ["tool_integrity.missing"]),
            ({"pinned": [PIN], "require_descriptors": True}, [PIN], []),
        ],
    )
    def test_descriptors_are_held_against_the_pins(self, rule, descriptors, rule_ids):
        """A changed tool, one never reviewed, and one that is not shown are told apart."""
        action = act(tools=("refund",), tool_descriptors=tuple(descriptors))

        assert rules_of(judge(policy("tool_integrity", rule), action)) == rule_ids

    def test_the_agents_baseline_counts_beside_the_pins(self):
        """What the agent reported is pinned too; a pin of the policy wins over it."""
        action = act(tool_descriptors=(self.PIN,))
        changed = facts(baseline={("crm", "refund"): OTHER_HASH})

        assert is_blocked(policy("tool_integrity"), action, changed)
        assert not is_blocked(policy("tool_integrity"), action, facts(baseline={("crm", "refund"): HASH}))
        assert not is_blocked(policy("tool_integrity", {"pinned": [self.PIN]}), action, changed)
        assert is_blocked(policy("tool_integrity", {"use_baseline": False}), action, changed)

    @pytest.mark.parametrize("descriptor", ["refund", {}, {"server": 1, "tool": "refund", "descriptorHash": HASH}])
    def test_a_descriptor_that_cannot_be_read_is_not_judged(self, descriptor):
        """The failure mode says what it means."""
        verdict = judge(policy("tool_integrity", failureMode="fail_closed"), act(tool_descriptors=(descriptor,)))

        assert rules_of(verdict) == ["unevaluated"]

    def test_the_hash_is_the_sdks(self):
        """Our canonical form of a descriptor is the SDK's, non-ASCII and numbers included."""
        client = pytest.importorskip("execlave").Execlave
        descriptor = {"name": "rückgabe", "inputSchema": {"z": 1.50, "a": [True, None, 10**20]}, "description": "日本"}

        assert client.tool_descriptor("crm", "refund", descriptor)["descriptorHash"] == descriptor_hash(descriptor)


class TestCustomValidator:
    @pytest.mark.parametrize(
        ("answer", "mode", "ruling"),
        [
            ("allow", "block", Ruling.ALLOW),
            ("deny", "block", Ruling.BLOCK),
            ("deny", "warn", Ruling.WARN),
            ("deny", "require_approval", Ruling.REQUIRE_APPROVAL),
            ("require_approval", "block", Ruling.REQUIRE_APPROVAL),
            ("require_approval", "warn", Ruling.WARN),
            ("require_approval", "monitor", Ruling.ALLOW),
        ],
    )
    def test_the_decision_counts_up_to_the_mode(self, answer, mode, ruling):
        """A deny is what the policy's mode says; asking for approval is never more than that."""
        known = facts(validator_answers={"pol_custom_validator": ValidatorDecision(answer)})

        assert judge(policy("custom_validator", mode=mode), act(), known).ruling is ruling

    def test_no_answer_fails_closed(self):
        """A validator that did not answer blocks, unless it is set to fail open."""
        assert judge(policy("custom_validator")).ruling is Ruling.BLOCK
        assert judge(policy("custom_validator", failureMode="fail_open")).ruling is Ruling.ALLOW

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (500, b'{"decision":"allow"}'),
            (302, b'{"decision":"allow"}'),
            (200, b""),
            (200, b'{"decision":"maybe"}'),
            (200, b'{"allow":true}'),
            (200, b'["allow"]'),
            (200, b"\xff"),
            (200, b"[" * 60_000),
            (200, b'{"decision":"allow","pad":"' + b"x" * 65_536 + b'"}'),
        ],
    )
    def test_anything_but_a_decision_is_no_answer(self, status, body):
        """Only a 200 with one of the three words is taken for an answer."""
        with pytest.raises(CannotEvaluateError):
            judge_answer(status, body)

    def test_a_decision_may_come_with_more(self):
        """A reason beside the decision does no harm."""
        assert judge_answer(200, b'{"decision":"deny","reason":"no"}') is ValidatorDecision.DENY

    def test_what_is_sent(self):
        """The body has the documented keys."""
        action = act(organization_id="org_1", agent_name="Bot", tools=("a",), metadata={"k": 1}, estimated_cost=0.5)

        assert msgspec.json.decode(question_of(action, "2025-12-11T10:40:00Z")) == {
            "organizationId": "org_1",
            "agentId": "support-bot",
            "agentName": "Bot",
            "environment": "production",
            "input": "Good morning.",
            "tools": ["a"],
            "metadata": {"k": 1},
            "estimatedCost": 0.5,
            "timestamp": "2025-12-11T10:40:00Z",
        }


@pytest.mark.parametrize(
    "made",
    [
        policy("cost_limit", {"daily_budget": 1}, failureMode="fail_closed"),
        policy("budget_cap", failureMode="fail_closed"),
        policy("rate_limit", failureMode="fail_closed"),
        policy("external_call_limit", failureMode="fail_closed"),
        policy("tool_integrity", failureMode="fail_closed"),
    ],
    ids=lambda made: made.policy_type,
)
def test_a_missing_fact_fails_as_configured(made):
    """What could not be fetched cannot be judged, and is never taken for zero."""
    action = act(
        tools=("t",), tool_descriptors=({"server": "s", "tool": "t", "descriptorHash": HASH},), estimated_cost=0.1
    )
    verdict = judge(made, action, facts(spent_usd={}, counts={}, baseline=None, now_us=NOW_US))

    assert rules_of(verdict) == ["unevaluated"]
    assert verdict.violations[0].retryable
