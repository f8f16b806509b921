"""The page on policies says everything there is, and its examples work."""

import json
import re
from pathlib import Path

import pytest

from execlave_server.model.agents import AutonomyLevel
from execlave_server.model.policies import TYPES, EnforcementMode, FailureMode, Phase, PolicyType, parse_policy
from execlave_server.model.verdicts import PolicyViolation
from execlave_server.policy.detect_pii import PiiKind
from execlave_server.policy.engine import verify_policy
from execlave_server.policy.scan_expression import COMPREHENSIONS, FUNCTIONS, NAMES
from execlave_server.policy.tiers import BUNDLES, TierOverride
from policies import MINIMAL_RULES, body_of

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "policies.md").read_text()
SECTIONS = {
    title.strip("`"): text for title, text in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
}


def test_the_page_has_exactly_the_types():
    """Each type has its section, and no section stands for a type there is not."""
    named = {title for title in SECTIONS if re.fullmatch(r"[a-z_]+", title)}

    assert named == {str(kind) for kind in PolicyType}


@pytest.mark.parametrize("kind", list(PolicyType))
def test_each_key_of_a_rule_is_documented(kind):
    """A type's section names every key of its rule definition and every phase it works in."""
    section = SECTIONS[kind]

    assert [name for name in TYPES[kind].rule.__struct_fields__ if f"`{name}`" not in section] == []
    assert {phase for phase in Phase if f"`{phase}`" in section} >= TYPES[kind].phases


@pytest.mark.parametrize("kind", list(PolicyType))
def test_each_example_can_be_saved(kind):
    """The example of a type is a valid rule definition."""
    examples = re.findall(r"```json\n(.*?)```", SECTIONS[kind], re.DOTALL)

    assert len(examples) == 1
    verify_policy(parse_policy(body_of(kind, json.loads(examples[0]))))


def test_the_first_example_can_be_saved():
    """The body at the top of the page is a valid policy."""
    example = re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)

    assert example
    verify_policy(parse_policy(example[1].encode()))


@pytest.mark.parametrize(
    "word",
    [
        *EnforcementMode, *FailureMode, *Phase, *AutonomyLevel, *TierOverride, *PiiKind,
        *NAMES, *FUNCTIONS, *COMPREHENSIONS,
        *(field for field in PolicyViolation.__struct_encode_fields__),
        "name", "policyType", "enforcementMode", "ruleDefinition", "appliesToAgents", "environments", "failureMode",
        "isActive", "phase", "metadata",
    ],
)  # fmt: skip
def test_each_word_is_documented(word):
    """Each word a person may write or read stands on the page."""
    assert f"`{word}`" in PAGE


@pytest.mark.parametrize("level", list(AutonomyLevel))
def test_each_bundle_is_documented(level):
    """The table of tiers names each type of a bundle at its level or one below."""
    rows = SECTIONS["Autonomy tiers"].split(f"| `{level}` |")[0] + next(
        line for line in SECTIONS["Autonomy tiers"].splitlines() if line.startswith(f"| `{level}` |")
    )

    assert [one.policy_type for one in BUNDLES[level] if f"`{one.policy_type}`" not in rows] == []


def test_the_tests_know_the_types():
    """Every type has an example in the tests too."""
    assert set(MINIMAL_RULES) == set(PolicyType)
