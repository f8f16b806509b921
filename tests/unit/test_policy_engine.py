import msgspec
import pytest

from execlave_server.model.policies import EnforcementMode, Phase
from execlave_server.model.traces import TraceStatus
from execlave_server.model.verdicts import Ruling
from execlave_server.policy import check_of_rule, compiled_policies, engine
from execlave_server.policy.action import Counter, Spend
from execlave_server.policy.engine import (
    ValidatorCall,
    compile_policies,
    decide,
    fails_closed,
    masked_kinds,
    needed_facts,
    scan_bytes,
)
from policies import MINIMAL_RULES, act, facts, judge, policy, rules_of

WIPE = {"denied_tools": ["wipe_disk"]}
WIPING = act(tools=("wipe_disk",), estimated_cost=5)


def named(made, policy_id):
    """The same policy under another id."""
    return msgspec.structs.replace(made, id=policy_id)


def in_mode(mode: str, policy_id: str = ""):
    """A policy that objects to WIPING."""
    return named(policy("access_control", WIPE, mode), policy_id or mode)


@pytest.mark.parametrize(
    ("mode", "ruling", "status"),
    [
        ("monitor", Ruling.ALLOW, None),
        ("warn", Ruling.WARN, TraceStatus.FLAGGED_FOR_REVIEW),
        ("require_approval", Ruling.REQUIRE_APPROVAL, None),
        ("block", Ruling.BLOCK, TraceStatus.POLICY_BLOCKED),
    ],
)
def test_each_mode_has_its_ruling_and_status(mode, ruling, status):
    """The enforcement mode alone says what a violation leads to."""
    verdict = judge(in_mode(mode), WIPING)

    assert (verdict.ruling, verdict.status) == (ruling, status)
    assert len(verdict.shadow if mode == "monitor" else verdict.violations) == 1


def test_the_strictest_wins_and_all_are_told():
    """Every violation is reported, strictest first; those that decided stand apart."""
    verdict = judge([in_mode("warn"), in_mode("block"), in_mode("monitor"), in_mode("require_approval")], WIPING)

    assert verdict.ruling is Ruling.BLOCK
    assert [one.enforcement_mode for one in verdict.violations] == ["block", "require_approval", "warn"]
    assert [one.policy_id for one in verdict.deciding] == ["block"]
    assert [one.policy_id for one in verdict.shadow] == ["monitor"]


def test_a_violation_says_everything():
    """A violation has each documented key, in the SDK's spelling."""
    said = msgspec.to_builtins(judge(policy("access_control", WIPE), WIPING).violations[0])

    assert said == {
        "policyId": "pol_access_control",
        "policyName": "A access_control",
        "policyVersion": 3,
        "policyType": "access_control",
        "ruleId": "access_control.denied_tool",
        "severity": "high",
        "message": "A tool of this action is denied by wipe_disk",
        "remediation": "Use another tool, or ask for this one to be taken from denied_tools.",
        "retryable": False,
        "enforcementMode": "block",
    }


@pytest.mark.parametrize("policy_type", ["cost_limit", "budget_cap", "rate_limit", "external_call_limit"])
def test_a_used_up_limit_is_limit_exceeded(policy_type):
    """A block by a limit is a limit, unless something else blocks too, or the limit could not be evaluated."""
    limit = policy(policy_type)
    known = facts(counts={limit.id: 9}, spent_usd={"agent:1mo": 10})

    assert judge(limit, WIPING, known).status is TraceStatus.LIMIT_EXCEEDED
    assert judge([limit, in_mode("warn")], WIPING, known).status is TraceStatus.LIMIT_EXCEEDED
    assert judge([limit, in_mode("block")], WIPING, known).status is TraceStatus.POLICY_BLOCKED


def test_a_limit_that_fails_closed_is_no_limit_exceeded():
    """Nothing was found used up."""
    verdict = judge(policy("rate_limit", failureMode="fail_closed"), WIPING, facts(counts={}))

    assert verdict.status is TraceStatus.POLICY_BLOCKED


@pytest.mark.parametrize(
    ("mode", "failure_mode", "ruling"),
    [
        *((mode, "fail_open", Ruling.ALLOW) for mode in EnforcementMode),
        ("monitor", "fail_closed", Ruling.ALLOW),
        ("warn", "fail_closed", Ruling.BLOCK),
        ("require_approval", "fail_closed", Ruling.BLOCK),
        ("block", "fail_closed", Ruling.BLOCK),
    ],
)
def test_a_policy_that_raises_obeys_its_failure_mode(monkeypatch, mode, failure_mode, ruling):
    """Whatever is raised inside a check, the answer is the failure mode's, and what was raised is not quoted."""

    def raising(action, _facts):
        raise KeyError(action.input)

    monkeypatch.setattr(compiled_policies, "check_of", lambda _policy: raising)
    verdict = judge(policy("cost_limit", mode=mode, failureMode=failure_mode), act(input="a secret"))

    assert verdict.ruling is ruling
    assert [one.reason for one in verdict.unevaluated] == ["the check ended in KeyError"]
    assert b"secret" not in msgspec.json.encode(verdict)


@pytest.mark.parametrize(
    ("more", "applies"),
    [
        ({}, True),
        ({"appliesToAgents": ["support-bot"]}, True),
        ({"appliesToAgents": ["uuid-1"]}, True),
        ({"appliesToAgents": ["other", "support-bot"]}, True),
        ({"appliesToAgents": ["other"]}, False),
        ({"environments": ["production"]}, True),
        ({"environments": ["staging"]}, False),
        ({"isActive": False}, False),
        ({"phase": "pre"}, True),
        ({"phase": "post"}, False),
    ],
)
def test_a_policy_judges_only_what_it_applies_to(more, applies):
    """Agents (by either id), environments, phase and activity decide whether a policy is asked."""
    action = act(agent_uuid="uuid-1", tools=("wipe_disk",))

    assert bool(judge(policy("access_control", WIPE, **more), action).violations) is applies


def test_an_unregistered_agent_is_judged_by_what_is_for_all():
    """An agent that is not registered has no UUID; policies for all agents and for its name judge it."""
    verdict = judge([in_mode("block"), policy("access_control", WIPE, appliesToAgents=["u"])], WIPING)

    assert [one.policy_id for one in verdict.violations] == ["block"]


def test_a_policy_that_names_both_ids_of_an_agent_objects_once():
    """The index may list a policy twice; it is asked once."""
    made = policy("access_control", WIPE, appliesToAgents=["support-bot", "uuid-1"])

    assert len(judge(made, act(agent_uuid="uuid-1", tools=("wipe_disk", "wipe_disk"))).violations) == 1


def test_policies_about_other_tools_are_not_asked():
    """The index leaves out what has nothing to say of these tools, exact names and wildcards alike."""
    compiled = compile_policies([
        *(named(policy("action_approval", {"tools": [f"tool_{number}"]}), f"exact_{number}") for number in range(50)),
        *(named(policy("action_approval", {"tools": [f"w{number}_*"]}), f"wild_{number}") for number in range(50)),
    ])  # fmt: skip

    def asked(*tools):
        return {made.id for _, made in compiled.select(act(tools=tools)).checks}

    assert asked() == set()
    assert asked("tool_7") == {"exact_7"}
    assert asked("w3_x", "tool_7", "other") == {"exact_7", "wild_3"}


def test_what_is_remembered_is_bounded(monkeypatch):
    """Callers choose names; neither many nor long ones fill the memory, and the answers stay right."""
    monkeypatch.setattr(compiled_policies, "SELECTIONS_KEPT", 10)
    compiled = compile_policies([policy("access_control", {"denied_tools": ["wipe_*"]})])

    for number in range(100):
        verdict = decide(compiled, act(agent_id=f"agent-{number}", tools=("wipe_disk",)), facts())
        assert verdict.ruling is Ruling.BLOCK
    decide(compiled, act(environment="e" * 5_000), facts())
    decide(compiled, act(tools=tuple(f"t{number}" for number in range(100))), facts())
    assert len(compiled.remembered) <= 10
    assert all(len(key[2] or "") < 5_000 and len(key[3]) < 100 for key in compiled.remembered)


def test_needed_facts_are_those_of_the_policies_that_judge():
    """Nothing is fetched for another agent's policies; each policy's own count is asked for with what it adds."""
    compiled = compile_policies([
        policy("cost_limit", {"daily_budget": 1}),
        policy("budget_cap", {"cap_usd": 1, "scope": "org", "window": "1h"}),
        policy("rate_limit", {"max_requests": 1, "scope": "org"}),
        policy("external_call_limit", {"max_calls": 1, "tools": ["http_*"]}),
        policy("tool_integrity"),
        policy("custom_validator"),
        policy("budget_cap", {"cap_usd": 1, "window": "1m"}, appliesToAgents=["other"]),
        policy("injection_scan"),
    ])  # fmt: skip

    needed = needed_facts(compiled, act(tools=("http_get", "http_put", "x")))

    assert needed.spends == {Spend("agent", "1d"), Spend("org", "1h")}
    assert set(needed.counters) == {
        Counter("pol_rate_limit", "org", "1m", 1),
        Counter("pol_external_call_limit", "agent", "1h", 2),
    }
    assert needed.validators == (ValidatorCall("pol_custom_validator", "https://validator.example.com/judge"),)
    assert needed.baseline
    assert needed_facts(compiled, act(phase=Phase.POST)).spends == set()
    assert needed_facts(compile_policies([]), act()) == engine._NO_FACTS


def test_the_facts_that_are_needed_suffice():
    """With exactly the needed facts every type can be evaluated."""
    compiled = compile_policies([policy(kind, failureMode="fail_closed") for kind in MINIMAL_RULES])
    action = act(tools=("a",), tool_descriptors=({"server": "s", "tool": "a", "descriptorHash": "a" * 64},))
    needed = needed_facts(compiled, action)
    known = facts(
        spent_usd={spend.key: 0.0 for spend in needed.spends},
        counts={counter.policy_id: 0 for counter in needed.counters},
        validator_answers={call.policy_id: "allow" for call in needed.validators},
        baseline={} if needed.baseline else None,
    )

    verdict = decide(compiled, action, known)

    assert verdict.unevaluated == ()
    assert rules_of(verdict) == ["action_approval.required", "tool_integrity.unpinned"]


def test_fails_closed_is_known_before_anything_is_decided():
    """503 may be answered only where no fail_closed policy judges; of an unreadable action, where there is none."""
    compiled = compile_policies([policy("cost_limit", failureMode="fail_closed", appliesToAgents=["bank-bot"])])

    assert fails_closed(compiled, act(agent_id="bank-bot"))
    assert not fails_closed(compiled, act())
    assert fails_closed(compiled, None)
    assert not fails_closed(compile_policies([policy("cost_limit")]), None)


def test_scan_bytes_is_what_would_be_read():
    """Only an action that a text policy judges has text to scan."""
    compiled = compile_policies([policy("injection_scan", appliesToAgents=["reader"]), policy("cost_limit")])

    assert scan_bytes(compiled, act(agent_id="reader", input="x" * 50_000)) == 50_000
    assert scan_bytes(compiled, act(input="x" * 50_000)) == 0


def test_masked_kinds_are_those_policies_ask_for():
    """Only `mask_output` masks, and only the kinds of that policy."""
    made = policy("pii_access", {"denied_pii_types": ["email"], "mask_output": True})

    assert masked_kinds(compile_policies([made, policy("pii_access")]), act()) == {"email"}
    assert masked_kinds(compile_policies([policy("pii_access")]), act()) == set()


def test_a_policy_that_only_watches_masks_and_stops_nothing():
    """In monitor mode neither `mask_output` nor `fail_closed` has any effect."""
    made = policy("pii_access", {"mask_output": True}, "monitor", failureMode="fail_closed")

    assert masked_kinds(compile_policies([made]), act()) == set()
    assert not fails_closed(compile_policies([made]), act())


def test_a_stored_rule_that_no_longer_compiles_fails_as_configured():
    """A rule that was saved elsewhere never breaks the decisions of the others."""
    broken = policy("injection_scan", {"patterns": ["("]}, failureMode="fail_closed")

    assert rules_of(judge([broken, in_mode("warn")], WIPING)) == ["unevaluated", "access_control.denied_tool"]


def test_compiling_again_reuses_the_checks():
    """A new version of an organization's policies compiles only what changed."""
    made = [named(policy("injection_scan", {"patterns": [f"p{number}"]}), str(number)) for number in range(5)]
    first = [check for check, _ in compile_policies(made).select(act()).checks]
    before = check_of_rule._compile.cache_info().misses
    assert len([check for check, _ in compile_policies(made).select(act()).checks]) == len(first)
    assert check_of_rule._compile.cache_info().misses == before
