import sys
import time

import pytest

from execlave_server.errors import ValidationFailedError
from execlave_server.model.policies import parse_policy
from execlave_server.model.verdicts import Ruling
from execlave_server.policy import check_of_rule
from execlave_server.policy.checks.expression import CONTEXT
from execlave_server.policy.engine import verify_policy
from execlave_server.policy.scan_expression import NAMES
from policies import NOW_US, act, body_of, facts, judge, policy, rules_of

pytest.importorskip("cel", reason="CEL is an optional extra")
ACTION = act(
    input="Please refund order 17",
    output="done",
    agent_uuid="u",
    agent_name="Support",
    organization_id="org_1",
    tools=("refund_order", "search"),
    metadata={"amount": 700, "tags": ["vip", "eu"], "matches": True},
    estimated_cost=0.5,
)


def holds(expression: str, action=ACTION) -> bool:
    """Whether an expression objects to the action; it must have been evaluated."""
    made = policy("expression", {"expression": expression})
    verify_policy(made)
    verdict = judge(made, action)
    assert verdict.unevaluated == ()
    return verdict.ruling is Ruling.BLOCK


@pytest.mark.parametrize(
    "expression",
    [
        'input.contains("refund") && cost < 1',
        'output == "done"',
        'agentId == "support-bot" && agentName == "Support" && orgId == "org_1"',
        'environment == "production" && phase == "pre"',
        'tools.exists(t, t.startsWith("refund"))',
        '"search" in tools && size(tools) == 2',
        "metadata.amount > 500",
        "has(metadata.amount) && !has(metadata.nothing)",
        'metadata.tags.filter(tag, tag == "vip").size() == 1 && metadata.tags.all(t, size(t) > 1)',
        'metadata["matches"] && metadata.matches',
        'now.getHours() == 10 && now > timestamp("2025-12-11T00:00:00Z")',
        r'input.matches("order \\d+$")',
        r'tools.exists(t, t.matches(r"^refund_\w+$"))',
        'input != "tools.all(x, tools.all(y, true)) // foo"',
        "true // tools.all(x, tools.all(y, z))",
        '{"a": cost}["a"] == 0.5 ? true : false',
        "input != '''it's \"quoted\"''' && input != r\"\\\"",
    ],
)
def test_an_expression_reads_the_documented_context(expression):
    """Each documented name and function can be used."""
    assert holds(expression)


def test_what_is_absent_is_empty():
    """Nothing in the context is null: an expression need not guard against it."""
    action = act(environment=None, input={"question": "é"})

    assert holds('output == "" && agentName == "" && environment == "" && size(tools) == 0 && cost == 0.0', action)
    assert holds('orgId == "" && input == "{\\"question\\":\\"é\\"}"', action)


def test_the_documented_names_are_those_provided():
    """Every name that may be used has a value, and none besides."""
    assert set(CONTEXT) == NAMES


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("foo == 1", "uses foo"),
        ('.input == "x"', "not known"),
        ("x && tools.all(x, true)", "uses x"),
        ("tools.all(x, true) && x", "uses x"),
        ("evil(input)", "calls evil"),
        ("input.lowerAscii() == input", "calls lowerAscii"),
        ("tools.transformList(i, v, true) == []", "calls transformList"),
        ("tools.all(x, tools.exists(y, x == y))", "nested"),
        ("tools.all(x, (tools).map(y, y) == [])", "nested"),
        ("tools . all ( x , [1] . map ( y , y ) == [] )", "nested"),
        ("tools.all(x, // comment\n tools.all(y, true))", "nested"),
        ("tools.all(input, true)", "hides"),
        ('tools.map(t, t + "x") == []', "+ inside"),
        ("+".join(["input"] * 18) + ' == ""', "more than 16"),
        ("1 + 1", "true or false"),
        ("input", "true or false"),
        ("(" * 2_000 + "true" + ")" * 2_000, "not CEL"),
        ("input ==", "not CEL"),
        ("`input` == 1", "not CEL"),
        ("input == 'open", "not CEL"),
        ("Message{a: 1} == 1", "uses Message"),
        ("type(input) == string", "calls type"),
    ],
)
def test_what_is_unknown_or_costly_is_refused_at_save(expression, reason):
    """The refusal says what it is about the expression."""
    with pytest.raises(ValidationFailedError) as caught:
        verify_policy(parse_policy(body_of("expression", {"expression": expression})))

    assert reason in caught.value.fields["ruleDefinition.expression"]


@pytest.mark.parametrize(
    ("expression", "action"),
    [
        ("metadata.absent > 1", ACTION),
        ("1 / size(metadata) == 0", act()),
        ("metadata.amount > 1", act(metadata={"amount": "many"})),
        ("metadata.flag", act(metadata={"flag": "yes"})),
        ("input.matches(metadata.pattern)", act(metadata={"pattern": "("})),
        ("metadata.big == 1", act(metadata={"big": {1: 2}, "odd": object()})),
        ("metadata.list.exists(x, x == 1)", act(metadata={"list": [0] * 1_001})),
        ('input.contains("x")', act(input="y" * 300_000)),
    ],
)
@pytest.mark.parametrize(("failure_mode", "ruling"), [("fail_open", Ruling.ALLOW), ("fail_closed", Ruling.BLOCK)])
def test_an_error_counts_as_the_failure_mode_says(expression, action, failure_mode, ruling):
    """An expression that cannot be evaluated lets go or blocks as configured, and says so."""
    verdict = judge(policy("expression", {"expression": expression}, failureMode=failure_mode), action)

    assert verdict.ruling is ruling
    assert [one.policy_id for one in verdict.unevaluated] == ["pol_expression"]


@pytest.mark.parametrize(
    "expression",
    [
        "[" + ",".join(["input"] * 600) + '].exists(x, x.matches("(a|b)*c"))',
        "metadata.list.all(x, metadata == metadata)",
        " && ".join(["metadata == metadata"] * 150),
        "metadata.list.map(x, metadata.list) == metadata.list.map(x, metadata.list)",
        "+".join(["input"] * 16) + ' == "x"',
        r'input.matches("(\\w{50}){15}")',
    ],
)
def test_no_expression_takes_long(expression):
    """Whatever an expression repeats over a large action ends soon, if need be unevaluated."""
    large = act(input="x " * 100_000, metadata={"list": [{"key": "v" * 20}] * 900})
    made = policy("expression", {"expression": expression})
    started = time.perf_counter()

    judge(made, large)

    assert time.perf_counter() - started < 1.5


def test_small_contexts_are_not_gathered():
    """An expression that reads no text does not gather the texts."""
    action = act(estimated_cost=2)

    assert rules_of(judge(policy("expression", {"expression": "cost > 1.0"}), action)) == ["expression.true"]
    assert "texts" not in vars(action)


def test_the_policy_may_say_its_own_message():
    """What the owner wrote stands in the violation."""
    made = policy("expression", {"expression": "true", "message": "No deploys on Fridays"})

    assert judge(made).violations[0].message == "No deploys on Fridays"


def test_without_the_extra_an_expression_is_refused_and_fails_as_configured(monkeypatch):
    """Where CEL is not installed, saving says how to get it, and a stored policy counts as its failure mode says."""
    monkeypatch.setitem(sys.modules, "cel", None)
    check_of_rule._compile.cache_clear()
    made = policy("expression", {"expression": "false"}, failureMode="fail_closed")

    with pytest.raises(ValidationFailedError, match="pip install"):
        verify_policy(made)
    assert judge(made).ruling is Ruling.BLOCK
    assert judge(policy("expression", {"expression": "false"})).ruling is Ruling.ALLOW


def test_now_is_the_time_given():
    """`now` is the fact, not the machine's clock."""
    made = policy("expression", {"expression": "now.getHours() == 11"})

    assert judge(made, known=facts(now_us=NOW_US + 3_600_000_000)).ruling is Ruling.BLOCK
    assert judge(made).ruling is Ruling.ALLOW
