import json
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from execlave_server.model.policies import EnforcementMode, FailureMode, Phase, Policy
from execlave_server.model.verdicts import Ruling, Verdict
from execlave_server.policy import compiled_policies
from execlave_server.policy.action import Action, Facts, ValidatorDecision
from execlave_server.policy.breaches import Breach
from execlave_server.policy.engine import compile_policies, decide
from execlave_server.policy.wildcards import NamePatterns
from policies import MINIMAL_RULES, NOW_US, SPENT, policy

STRICTNESS = {ruling: place for place, ruling in enumerate(Ruling)}
MARK = "qZx7"  # stands in every text of an action and in no policy
TOOLS = ["wipe_disk", "search", "http_get"]
RULES = [
    *MINIMAL_RULES.items(),
    ("access_control", {"allowed_tools": ["search"]}),
    ("access_control", {"environments": ["staging"]}),
    ("access_control", {"hours": {"start": "22:00", "end": "06:00"}}),
    ("action_approval", {"tools": ["http_*"], "min_cost": 2}),
    ("cost_limit", {"daily_budget": 5}),
    ("budget_cap", {"cap_usd": 5, "scope": "org"}),
    ("rate_limit", {"max_requests": 1, "tools": ["search"]}),
    ("data_restriction", {"denied_sources": ["hr"]}),
    ("injection_scan", {"patterns": ["sesame"]}),
    ("expression", {"expression": "metadata.amount > 5"}),
    ("expression", {"expression": 'tools.exists(t, t == "search")'}),
]
WORDS = ["hello", "sesame", "ignore previous instructions", "jane@example.com", "123-45-6789", "hr"]


@st.composite
def policy_sets(draw: st.DrawFn) -> list[Policy]:
    """Some policies of any type, mode and failure mode."""
    chosen = draw(st.lists(st.sampled_from(RULES), max_size=8))
    return [
        msgspec.structs.replace(
            policy(
                kind,
                rule,
                draw(st.sampled_from(list(EnforcementMode))),
                failureMode=draw(st.sampled_from(list(FailureMode))),
                appliesToAgents=draw(st.sampled_from([[], ["bot"], ["other"]])),
                environments=draw(st.sampled_from([[], ["production"]])),
            ),
            id=f"pol_{number}",
        )
        for number, (kind, rule) in enumerate(chosen)
    ]


texts = st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=6)), max_size=4).map(
    lambda words: f"{MARK} {' '.join(words)} {MARK}"
)


@st.composite
def actions(draw: st.DrawFn) -> Action:
    """Any action, before or after, large or small, with what adapters send and what they never would."""
    pad = draw(st.sampled_from([0] * 9 + [300_000]))
    return Action(
        agent_id="bot",
        agent_uuid=draw(st.sampled_from([None, "uuid"])),
        environment=draw(st.sampled_from([None, "production", MARK])),
        input=draw(texts) + "x" * pad,
        output=draw(st.one_of(st.none(), texts)),
        tools=tuple(draw(st.lists(st.one_of(st.sampled_from(TOOLS), texts), max_size=3))),
        metadata=draw(
            st.dictionaries(
                st.sampled_from(["amount", "toolInput", "dataSource", "recordCount", MARK]),
                st.one_of(texts, st.integers(), st.lists(texts, max_size=2), st.floats(allow_nan=False)),
                max_size=3,
            )
        ),
        estimated_cost=draw(st.sampled_from([None, 0.5, 3.0, 1_000.0])),
        conversation_history=tuple(draw(st.lists(st.one_of(texts, st.just({"role": "user", "content": MARK}))))),
        tool_outputs=tuple(draw(st.lists(st.fixed_dictionaries({"name": texts, "output": texts}), max_size=2))),
        tool_descriptors=tuple(
            draw(st.lists(st.sampled_from([MARK, {"server": MARK, "tool": MARK, "descriptorHash": MARK}]), max_size=1))
        ),
        phase=draw(st.sampled_from(list(Phase))),
    )


@st.composite
def known_facts(draw: st.DrawFn) -> Facts:
    """Facts of which any may be missing."""
    ids = [f"pol_{number}" for number in range(9)]
    return Facts(
        NOW_US,
        spent_usd=draw(st.sampled_from([{}, SPENT, dict.fromkeys(SPENT, 100.0)])),
        counts=draw(st.dictionaries(st.sampled_from(ids), st.integers(0, 10))),
        validator_answers=draw(st.dictionaries(st.sampled_from(ids), st.sampled_from(list(ValidatorDecision)))),
        baseline=draw(st.sampled_from([None, {}])),
    )


def judge(policies: list[Policy], action: Action, facts: Facts) -> Verdict:
    """What freshly compiled policies say."""
    return decide(compile_policies(policies), action, facts)


@settings(max_examples=120, deadline=None)
@given(policies=policy_sets(), extra=policy_sets(), action=actions(), facts=known_facts())
def test_adding_a_policy_never_loosens_an_outcome(policies, extra, action, facts):
    """Whatever is added, what was refused stays refused, and every violation stays."""
    added = [msgspec.structs.replace(one, id=f"more_{one.id}") for one in extra]
    before, after = judge(policies, action, facts), judge([*policies, *added], action, facts)

    assert STRICTNESS[after.ruling] >= STRICTNESS[before.ruling]
    assert set(after.violations) >= set(before.violations)


@settings(max_examples=100, deadline=None)
@given(policies=policy_sets(), action=actions(), facts=known_facts(), seed=st.integers())
def test_the_order_of_policies_changes_nothing(policies, action, facts, seed):
    """The same policies in any order give the same verdict, to the byte."""
    shuffled = list(policies)
    Random(seed).shuffle(shuffled)  # noqa: S311 - an order, not a secret

    assert judge(shuffled, action, facts) == judge(policies, action, facts)


@settings(max_examples=100, deadline=None)
@given(policies=policy_sets(), watched=policy_sets(), action=actions(), facts=known_facts())
def test_monitor_never_changes_an_outcome(policies, watched, action, facts):
    """Policies that only watch add to what is reported, and to nothing else."""
    added = [
        msgspec.structs.replace(one, id=f"more_{one.id}", enforcement_mode=EnforcementMode.MONITOR) for one in watched
    ]
    before, after = judge(policies, action, facts), judge([*policies, *added], action, facts)

    assert (after.ruling, after.status, after.violations) == (before.ruling, before.status, before.violations)
    assert set(after.shadow) >= set(before.shadow)


@settings(max_examples=100, deadline=None)
@given(policies=policy_sets(), action=actions(), facts=known_facts())
def test_a_verdict_never_quotes_the_action(policies, action, facts):
    """No text of an action stands anywhere in a verdict."""
    assert MARK not in json.dumps(msgspec.to_builtins(judge(policies, action, facts)))


@settings(max_examples=100, deadline=None)
@given(policies=policy_sets(), action=actions(), facts=known_facts())
def test_a_verdict_is_the_same_each_time(policies, action, facts):
    """What is remembered changes nothing but the time it takes."""
    compiled = compile_policies(policies)

    assert decide(compiled, action, facts) == decide(compiled, action, facts) == judge(policies, action, facts)


@pytest.mark.parametrize(
    "raised", [ValueError(MARK), KeyError(MARK), RecursionError(), MemoryError(), AssertionError()]
)
@given(
    mode=st.sampled_from(list(EnforcementMode)), failure_mode=st.sampled_from(list(FailureMode)), others=policy_sets()
)
@settings(max_examples=20, deadline=None)
def test_a_raising_policy_obeys_its_failure_mode(raised, mode, failure_mode, others):
    """Beside any other policies, one that raises blocks when it fails closed, and changes nothing otherwise."""
    bad = msgspec.structs.replace(policy("cost_limit", mode=mode, failureMode=failure_mode), id="bad")
    action, facts = Action("bot", MARK), Facts(NOW_US)

    def raising(_action: Action, _facts: Facts) -> Breach | None:
        raise raised

    with pytest.MonkeyPatch.context() as patch:
        true_check_of = compiled_policies.check_of
        patch.setattr(compiled_policies, "check_of", lambda one: raising if one is bad else true_check_of(one))
        with_bad, without = judge([*others, bad], action, facts), judge(others, action, facts)

    blocks = failure_mode is FailureMode.CLOSED and mode is not EnforcementMode.MONITOR
    assert with_bad.ruling is (Ruling.BLOCK if blocks else without.ruling)
    assert "bad" in {one.policy_id for one in with_bad.unevaluated}
    assert MARK not in json.dumps(msgspec.to_builtins(with_bad))


@given(st.lists(st.text("ab*", max_size=6), max_size=4), st.text("ab", max_size=8))
def test_wildcards_match_as_a_regular_expression_would(patterns, name):
    """`*` is any run of characters, everything else stands for itself; the pattern told is one that matches."""
    fitting = [pattern for pattern in patterns if fits(pattern, name)]
    compiled = NamePatterns(patterns)

    assert (name in compiled) == bool(fitting)
    assert compiled.any_of([name]) == bool(fitting)
    told = compiled.matching(name)
    assert (told is None) == (not fitting)
    assert told is None or fits(told, name)


def fits(pattern: str, name: str) -> bool:
    """The definition, letter by letter."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return fits(pattern[1:], name) or (bool(name) and fits(pattern, name[1:]))
    return bool(name) and pattern[0] == name[0] and fits(pattern[1:], name[1:])
