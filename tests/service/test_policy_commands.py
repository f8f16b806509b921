"""Policies kept as files, from the command line, beside a running server."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from harness import Installation, Platform, assert_failed

from execlave_server.cli import policies as policy_commands


def draft(agent: str, **more: Any) -> dict[str, Any]:
    """A policy that blocks a tool of one agent."""
    return {
        "name": f"Wiping of {agent}",
        "policyType": "access_control",
        "enforcementMode": "block",
        "ruleDefinition": {"denied_tools": ["wipe_*"]},
        "appliesToAgents": [agent],
        **more,
    }


def write(folder: Path, *policies: dict[str, Any], name: str = "policies.json") -> str:
    """A policy file; its path."""
    path = folder / name
    path.write_text(json.dumps(policies if len(policies) != 1 else policies[0]))
    return str(path)


@pytest.fixture(scope="module")
def installation(platform: Platform) -> Installation:
    """The installation whose server runs."""
    return platform.installation


@pytest.fixture
def agent() -> str:
    """An agent of this test's own."""
    return f"agent-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def elsewhere(installation) -> list[str]:
    """An organization of this test's own, as an option."""
    return ["--org", installation.run_json("org", "create", f"Org {uuid.uuid4().hex}")["id"]]


class TestLint:
    def test_good_files_are_counted_and_bad_ones_named(self, installation, tmp_path, agent):
        """Exit code 0 without a complaint; else each complaint on its line of standard error, and exit code 1."""
        write(tmp_path, draft(agent))
        good = installation.run("policy", "lint", str(tmp_path))
        (tmp_path / "bad.toml").write_text(
            'name = ""\npolicyType = "access_control"\nenforcementMode = "deny"\nisActive = 1\n'
        )
        (tmp_path / "notes.txt").write_text("not a policy")
        bad = installation.run("policy", "lint", str(tmp_path))

        assert (good.returncode, good.stdout, good.stderr) == (0, "Valid policies: 1.\n", "")
        assert bad.returncode == 1
        assert len(bad.stderr.splitlines()) == 4
        assert all(line.startswith(str(tmp_path / "bad.toml")) for line in bad.stderr.splitlines())

    def test_it_needs_no_data_directory(self, tmp_path, agent):
        """A build machine lints without an installation; `--json` has the complaints."""
        from harness import run  # noqa: PLC0415 - the only use

        ran = run("policy", "lint", write(tmp_path, draft(agent, enforcementMode="deny")), "--json")

        assert ran.returncode == 1
        said = json.loads(ran.stdout)
        assert said["policies"] == 0
        assert said["complaints"][0]["field"] == "enforcementMode"

    def test_a_path_that_is_not_there_is_wrong_usage(self, installation):
        """Exit code 2 names the path."""
        ran = installation.run("policy", "lint", "/nowhere.json")

        assert ran.returncode == 2
        assert "/nowhere.json" in ran.stderr


class TestSync:
    def test_it_creates_changes_deletes_and_then_does_nothing(self, installation, tmp_path, agent, elsewhere):
        """The plan says what is done; run again there is nothing to do; only --delete deletes."""

        def sync(*options: str) -> dict[str, str]:
            said = installation.run_json("policy", "sync", str(tmp_path), *elsewhere, *options)
            return {each["name"]: each["change"] for each in said["plan"]}

        one, two = draft(agent), draft(agent, name="Two")
        write(tmp_path, one, two)
        first, again = sync(), sync()
        write(tmp_path, {**one, "enforcementMode": "warn"})
        dry, kept = sync("--dry-run", "--delete"), sync()
        deleted, last = sync("--delete"), sync("--delete")

        assert first == {one["name"]: "create", "Two": "create"}
        assert again == {one["name"]: "keep", "Two": "keep"}
        assert dry == {one["name"]: "change", "Two": "delete"}
        assert kept == {one["name"]: "change"}
        assert deleted == {one["name"]: "keep", "Two": "delete"}
        assert last == {one["name"]: "keep"}
        (left,) = installation.run_json("policy", "list", *elsewhere)
        assert (left["name"], left["enforcementMode"], left["version"]) == (one["name"], "warn", 2)

    def test_the_plan_is_shown_and_a_secret_once(self, installation, tmp_path, agent, elsewhere):
        """Without --json it is a plan for people; a validator's secret comes with its creation only."""
        rule = {"url": "https://validator.example.com/judge"}
        path = write(tmp_path, draft(agent, policyType="custom_validator", ruleDefinition=rule))
        dry = installation.run("policy", "sync", path, *elsewhere, "--dry-run")
        first = installation.run("policy", "sync", path, *elsewhere)
        again = installation.run("policy", "sync", path, *elsewhere)

        assert dry.stdout == f"+ create  Wiping of {agent}\nNothing was changed.\n"
        assert "evs_" in first.stdout
        assert again.stdout == f"  keep    Wiping of {agent}\nNothing was changed.\n"

    def test_one_bad_policy_changes_nothing(self, installation, tmp_path, agent, elsewhere):
        """A complaint anywhere, and nothing is synced."""
        path = write(tmp_path, draft(agent), draft(agent, name="Bad", isActive="yes"))
        ran = installation.run("policy", "sync", path, *elsewhere)

        assert (ran.returncode, ran.stdout) == (1, "")
        assert "isActive" in ran.stderr
        assert installation.run_json("policy", "list", *elsewhere) == []

    def test_it_is_in_force_with_the_very_next_decision(self, platform, tmp_path, agent):
        """What a command changes, the server that runs beside it decides by at once."""
        statuses = []
        for mode in ("block", "warn", "block"):
            path = write(tmp_path, draft(agent, enforcementMode=mode))
            assert platform.installation.run("policy", "sync", path).returncode == 0
            statuses.append(platform.server.agent.enforce(agent, tools=["wipe_disk"]).status)

        assert statuses == [403, 200, 403]

    def test_an_organization_that_is_not_there_is_told(self, installation, tmp_path, agent):
        """The id is named, with those there are."""
        ran = installation.run("policy", "sync", write(tmp_path, draft(agent)), "--org", "org_none")

        assert_failed(ran, "NOT_FOUND", "org_none")

    def test_list_shows_people_a_table(self, installation, tmp_path, agent, elsewhere):
        """Id, version, type, mode and name."""
        installation.run("policy", "sync", write(tmp_path, draft(agent)), *elsewhere)
        ran = installation.run("policy", "list", *elsewhere)

        head, row = ran.stdout.splitlines()
        assert head.split()[:4] == ["ID", "VERSION", "TYPE", "MODE"]
        assert row.split()[1:4] == ["1", "access_control", "block"]


class TestAgainstTraces:
    def ingest(self, platform: Platform, agent: str, *tools: str, **more: Any) -> list[str]:
        """Traces of an agent, one for each tool; their ids."""
        items = [
            {
                "traceId": f"tr_{uuid.uuid4().hex}",
                "agentId": agent,
                "status": "success",
                "input": "confidential words",
                "metadata": {"spanId": "sp", "spanKind": "tool", "spanName": tool},
                **more,
            }
            for tool in tools
        ]
        assert platform.server.agent.ingest(*items).json["accepted"] == len(items)
        return [item["traceId"] for item in items]

    def test_a_new_draft_is_compared_with_nothing(self, platform, tmp_path, agent):
        """Each objection is a difference, with examples by trace id and nothing of the input."""
        wiped, _, also = self.ingest(platform, agent, "wipe_disk", "read_file", "wipe_tape")
        path = write(tmp_path, draft(agent))
        said = platform.installation.run_json("policy", "test", path, "--against-traces", "1h")
        shown = platform.installation.run("policy", "test", path, "--against-traces", "1h")

        (compared,) = said["policies"]
        assert said["complete"] is True
        assert said["traces"] >= 3
        assert (compared["replaces"], compared["said"], compared["stricter"]) == (None, {"block": 2}, 2)
        assert set(compared["stricterExamples"]) == {wiped, also}
        assert f"stricter for 2, e.g. {wiped}, {also}" in shown.stdout
        assert "confidential" not in shown.stdout + shown.stderr + json.dumps(said)

    def test_a_draft_is_compared_with_what_is_in_force(self, platform, tmp_path, agent):
        """Against the policy of its name a draft is stricter here and looser there."""
        wiped, _, read = self.ingest(platform, agent, "wipe_disk", "list", "read_file")
        platform.installation.run("policy", "sync", write(tmp_path, draft(agent)))
        path = write(tmp_path, draft(agent, enforcementMode="warn", ruleDefinition={"denied_tools": ["read_*"]}))
        (compared,) = platform.installation.run_json("policy", "test", path, "--against-traces", "24h")["policies"]

        assert compared["said"] == {"warn": 1}
        assert (compared["stricterExamples"], compared["looserExamples"]) == ([read], [wiped])

    def test_what_a_monitor_said_in_stored_decisions_is_shown(self, platform, tmp_path, agent):
        """Beside the traces stands what the policy in force said when decisions were made: its shadow."""
        path = write(tmp_path, draft(agent, enforcementMode="monitor"))
        platform.installation.run("policy", "sync", path)
        assert platform.server.agent.enforce(agent, tools=["wipe_disk"]).status == 200
        (compared,) = platform.installation.run_json("policy", "test", path, "--against-traces", "1h")["policies"]

        shadow = compared["shadow"]
        assert (shadow["matched"], shadow["newlyStopped"], shadow["modes"]) == (1, 1, {"monitor": 1})

    def test_a_limit_counts_over_the_traces(self, platform, tmp_path, agent):
        """What a limit would have counted is simulated: of five calls three pass."""
        self.ingest(platform, agent, *["call"] * 5)
        rule = {"max_requests": 3, "window": "1mo"}
        path = write(tmp_path, draft(agent, policyType="rate_limit", ruleDefinition=rule))
        (compared,) = platform.installation.run_json("policy", "test", path, "--against-traces", "1h")["policies"]

        assert compared["said"] == {"block": 2}

    def test_outputs_are_read_and_validators_are_not_asked(self, platform, tmp_path, agent):
        """A trace has an output, which policies of the post phase read; what needs a validator is not evaluated."""
        self.ingest(platform, agent, "mail", output="write to jane.doe@example.com")
        pii = draft(agent, policyType="pii_access", ruleDefinition={}, enforcementMode="monitor")
        rule = {"url": "https://validator.example.com/judge"}
        asks = draft(agent, name="Asks", policyType="custom_validator", ruleDefinition=rule)
        path = write(tmp_path, pii, asks)
        first, second = platform.installation.run_json("policy", "test", path, "--against-traces", "1h")["policies"]

        assert first["said"] == {"monitor": 1}
        assert (second["said"], second["unevaluated"]) == ({}, 1)

    def test_it_is_bounded(self, platform, tmp_path, agent):
        """With a limit it stops there, and says that there is more."""
        self.ingest(platform, agent, *["call"] * 5)
        path = write(tmp_path, draft(agent))
        said = platform.installation.run_json("policy", "test", path, "--against-traces", "1h", "--limit", "2")

        assert (said["traces"], said["complete"]) == (2, False)

    @pytest.mark.parametrize("span", ["24", "0h", "-1h", "1w", "soon", "9999999h"])
    def test_a_span_that_cannot_be_meant_is_wrong_usage(self, installation, tmp_path, agent, span):
        """Exit code 2 says how a span is written."""
        ran = installation.run("policy", "test", write(tmp_path, draft(agent)), "--against-traces", span)

        assert ran.returncode == 2
        assert "24h" in ran.stderr

    def test_a_file_that_is_wrong_is_linted(self, installation, tmp_path, agent):
        """A draft with an error is told as by lint."""
        path = write(tmp_path, draft(agent, isActive="no"))
        ran = installation.run("policy", "test", path, "--against-traces", "1h")

        assert (ran.returncode, ran.stdout) == (1, "")
        assert "isActive" in ran.stderr


def test_the_group_is_there():
    """Four commands, no more."""
    assert set(policy_commands.policy.commands) == {"lint", "sync", "list", "test"}
