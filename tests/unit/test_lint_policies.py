"""Policy files: both forms, one or many a file, and every complaint with its place."""

import json

import pytest

from execlave_server.actions.lint_policies import FILE_BYTES_MAX, Linted, lint_policies

GOOD = {"name": "No wiping", "policyType": "access_control", "enforcementMode": "block"}
RULE = {"denied_tools": ["wipe_*"]}
TOML = """
[[policies]]
name = "No wiping"
policyType = "access_control"
enforcementMode = "block"
ruleDefinition = {denied_tools = ["wipe_*"]}

[[policies]]
name = "Slowly"
policyType = "rate_limit"
enforcementMode = "warn"
[policies.ruleDefinition]
max_requests = 5
"""


def lint(*documents: object, name: str = "a.json") -> Linted:
    """Files of JSON, or of bytes as they are."""
    return lint_policies(
        (f"{number}/{name}", each if isinstance(each, bytes) else json.dumps(each).encode())
        for number, each in enumerate(documents)
    )


def lines(linted: Linted) -> list[str]:
    """The complaints, each up to its field."""
    return [": ".join(filter(None, (each.file, each.policy, each.field))) for each in linted.complaints]


@pytest.mark.parametrize(
    ("document", "name", "count"),
    [
        ({**GOOD, "ruleDefinition": RULE}, "a.json", 1),
        ([{**GOOD, "ruleDefinition": RULE}], "a.json", 1),
        ({"policies": [{**GOOD, "ruleDefinition": RULE}, {**GOOD, "name": "B", "ruleDefinition": RULE}]}, "a.json", 2),
        (TOML.encode(), "a.toml", 2),
        (TOML.replace("[[policies]]", "", 1).partition("[[policies]]")[0].encode(), "a.toml", 1),
        ([], "a.json", 0),
    ],
)
def test_every_form_is_read(document, name, count):
    """One policy, a list, or a list under `policies`, as JSON or TOML."""
    linted = lint(document, name=name)

    assert linted.complaints == ()
    assert len(linted.policies) == count


def test_everything_wrong_is_told_with_its_place():
    """Each wrong field of each policy of each file is a complaint of its own."""
    linted = lint(
        [
            {**GOOD, "enforcementMode": "deny", "isActive": "yes", "ruleDefinition": {"denied": [], "hours": {}}},
            {**GOOD, "ruleDefinition": RULE},
            {"policyType": "budget_cap", "enforcementMode": "block"},
        ],
        {**GOOD, "name": " ", "extra": 1, "policyType": "nothing", "ruleDefinition": RULE, "isActive": 1},
        b"{",
    )

    assert sorted(lines(linted)) == sorted(
        [
            "0/a.json: policies[0] 'No wiping': enforcementMode",
            "0/a.json: policies[0] 'No wiping': isActive",
            "0/a.json: policies[0] 'No wiping': ruleDefinition.denied",
            "0/a.json: policies[0] 'No wiping': ruleDefinition.hours.start",
            "0/a.json: policies[2]: name",
            "0/a.json: policies[2]: ruleDefinition.cap_usd",
            "1/a.json: name",
            "1/a.json: policyType",
            "1/a.json: isActive",
            "1/a.json: extra",
            "2/a.json",
        ]
    )
    assert [each.policy.name for each in linted.policies] == ["No wiping"]


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"{", "a.json", "line 1 column 2"),
        (b"name = ]", "a.toml", "line 1, column 8"),
        (b"\xff", "a.json", "cannot be read"),
        (b"3", "a.json", "must be an object"),
        (b'{"policies": {}}', "a.json", "must be a list"),
        (b"[" * 100_000, "a.json", "cannot be read"),
        (b" " * (FILE_BYTES_MAX + 1), "a.json", "the most is"),
        (b'{"name": "a", "policyType": "nothing"}', "a.json", "enforcementMode: is required"),
    ],
)
def test_what_cannot_be_read_is_told(content, name, said):
    """A file that holds no policies is a complaint that says where it goes wrong."""
    linted = lint(content, name=name)

    assert linted.policies == ()
    assert any(said in complaint.line for complaint in linted.complaints)


def test_a_name_twice_is_a_complaint():
    """Policies are the same by name, so two of one name are refused, also across files."""
    linted = lint({**GOOD, "ruleDefinition": RULE}, {**GOOD, "ruleDefinition": {"denied_tools": ["x"]}})

    assert lines(linted) == ["1/a.json: name"]
    assert "0/a.json" in linted.complaints[0].what
