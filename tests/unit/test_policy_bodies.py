import msgspec
import pytest

from execlave_server.errors import ValidationFailedError
from execlave_server.model.policies import EnforcementMode, FailureMode, Phase, PolicyType, parse_policy
from execlave_server.policy.engine import verify_policy
from policies import MINIMAL_RULES, body_of, policy


def refusal(body: bytes) -> dict[str, str]:
    """What is wrong, by field."""
    with pytest.raises(ValidationFailedError) as caught:
        verify_policy(parse_policy(body))
    assert caught.value.code == "VALIDATION_ERROR"
    return caught.value.fields


@pytest.mark.parametrize("policy_type", list(PolicyType))
def test_each_type_is_read_and_written_back(policy_type):
    """What a policy is encoded to is a body that gives the same policy."""
    made = policy(policy_type, appliesToAgents=["bot"], environments=["production"], metadata={"owner": "risk"})
    verify_policy(made)

    said = msgspec.json.decode(msgspec.json.encode(made))
    del said["id"], said["version"]
    assert parse_policy(msgspec.json.encode(said), made.id, made.version) == made


def test_what_is_left_out_is_the_default():
    """A policy is active, for every agent and environment, and fails open; only a validator fails closed."""
    made = policy("cost_limit")

    assert (made.is_active, made.applies_to_agents, made.environments, made.phase) == (True, (), (), None)
    assert made.failure_mode is FailureMode.OPEN
    assert policy("custom_validator").failure_mode is FailureMode.CLOSED
    assert policy("custom_validator", failureMode="fail_open").failure_mode is FailureMode.OPEN
    assert made.phases == {Phase.PRE, Phase.POST}
    assert policy("rate_limit").phases == {Phase.PRE}


def test_a_star_means_every_agent():
    """`appliesToAgents: ["*"]` is the same as leaving it out."""
    assert policy("cost_limit", appliesToAgents=["*"]).applies_to_agents == ()


@pytest.mark.parametrize(
    ("field", "limit", "more"),
    [
        ("name", "length >= 1", {"name": ""}),
        ("name", r"\S", {"name": "   "}),
        ("name", "length <= 200", {"name": "n" * 201}),
        ("enforcementMode", "'deny'", {"enforcementMode": "deny"}),
        ("failureMode", "'open'", {"failureMode": "open"}),
        ("isActive", "bool", {"isActive": "yes"}),
        ("phase", "'during'", {"phase": "during"}),
        ("nmae", "is not known", {"nmae": "typo"}),
        ("appliesToAgents", "length <= 500", {"appliesToAgents": ["a"] * 501}),
        ("appliesToAgents[0]", "length >= 1", {"appliesToAgents": [""]}),
        ("environments", "length <= 500", {"environments": ["e"] * 501}),
        ("metadata", "4,096", {"metadata": {"note": "x" * 5_000}}),
        ("metadata", "object", {"metadata": [1]}),
    ],
)
def test_a_wrong_field_is_named_with_its_limit(field, limit, more):
    """Each refusal names the field and what it may be."""
    fields = refusal(body_of("cost_limit", **more))

    assert list(fields) == [field]
    assert limit in fields[field]


@pytest.mark.parametrize(
    ("policy_type", "rule", "field", "reason"),
    [
        ("injection_scan", {"patterns": ["("]}, "patterns", "cannot be compiled"),
        ("injection_scan", {"patterns": ["x"] * 101}, "patterns", "length <= 100"),
        ("injection_scan", {"patterns": ["x" * 1_001]}, "patterns[0]", "length <= 1000"),
        ("injection_scan", {"action": "warn"}, "action", "contradicts enforcementMode"),
        ("injection_scan", {"action": "explode"}, "action", "must be one of"),
        ("pii_access", {"denied_pii_types": ["shoe_size"]}, "denied_pii_types", "email"),
        ("pii_access", {"mask": True}, "mask", "is not known"),
        ("access_control", {}, "", "at least one of"),
        ("access_control", {"hours": {"start": "9:00", "end": "17:00"}}, "hours.start", "regex"),
        ("access_control", {"hours": {"start": "09:00", "end": "24:00"}}, "hours.end", "regex"),
        ("access_control", {"hours": {"start": "09:00", "end": "09:00"}}, "hours", "same time"),
        ("access_control", {"hours": {"start": "09:00", "end": "17:00", "days": []}}, "hours.days", "length >= 1"),
        (
            "access_control",
            {"hours": {"start": "09:00", "end": "17:00", "time_zone": "Mars/Olympus"}},
            "hours.time_zone",
            "no time zone",
        ),
        (
            "access_control",
            {"hours": {"start": "09:00", "end": "17:00", "time_zone": "../../etc/passwd"}},
            "hours.time_zone",
            "no time zone",
        ),
        ("action_approval", {"min_cost": -1}, "min_cost", ">= 0"),
        ("cost_limit", {}, "", "needs max_cost_per_execution or daily_budget"),
        ("cost_limit", {"daily_budget": "10"}, "daily_budget", "float"),
        ("budget_cap", {}, "cap_usd", "is required"),
        ("budget_cap", {"cap_usd": 1, "window": "2h"}, "window", "2h"),
        ("budget_cap", {"cap_usd": 1, "scope": "planet"}, "scope", "planet"),
        ("rate_limit", {"max_requests": 1.5}, "max_requests", "int"),
        ("external_call_limit", {"max_calls": 10**10}, "max_calls", "<= 1000000000"),
        ("data_restriction", {}, "", "at least one of"),
        ("tool_integrity", {"pinned": [{"server": "a", "tool": "b"}]}, "pinned[0].descriptorHash", "is required"),
        (
            "tool_integrity",
            {"pinned": [{"server": "a", "tool": "b", "descriptorHash": "sha"}]},
            "pinned[0].descriptorHash",
            "regex",
        ),
        ("custom_validator", {"url": "http://plain.example.com"}, "url", "https"),
        ("custom_validator", {"url": "https://user@host/"}, "url", "https"),
        ("custom_validator", {"url": "https://host/" + "x" * 2_048}, "url", "2048"),
        ("expression", {"expression": "x" * 4_097}, "expression", "length <= 4096"),
        ("expression", {"expression": "true", "message": "m" * 301}, "message", "length <= 300"),
    ],
)
def test_a_wrong_rule_is_named_with_its_limit(policy_type, rule, field, reason):
    """A rule definition's refusal names the field inside it."""
    fields = refusal(body_of(policy_type, rule))

    assert list(fields) == [f"ruleDefinition.{field}" if field else "ruleDefinition"]
    assert reason in fields.popitem()[1]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"name": "\xff"}', b"[" * 100_000, b"{} trailing"])
def test_what_is_no_body_is_refused(body):
    """Anything that is not a policy's body is a VALIDATION_ERROR, never another error."""
    assert refusal(body)


@pytest.mark.parametrize("policy_type", [kind for kind in PolicyType if Phase.POST not in policy(kind).phases])
def test_a_type_of_one_phase_is_not_put_into_the_other(policy_type):
    """A policy that only makes sense before an action cannot be asked for afterwards."""
    assert "phase" in refusal(body_of(policy_type, phase="post"))


def test_the_older_word_for_the_mode_may_agree():
    """The platform's `action` beside `enforcementMode` is taken where both say the same."""
    assert policy("injection_scan", {"action": "flag"}, "warn").enforcement_mode is EnforcementMode.WARN


def test_each_type_has_a_minimal_rule():
    """The tests know every type."""
    assert set(MINIMAL_RULES) == {str(kind) for kind in PolicyType}
