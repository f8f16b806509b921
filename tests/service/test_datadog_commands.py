"""`datadog render`, `apply` and `backtest`, as people run them."""

import json
import time
from collections.abc import Iterator

import hcl2
import pytest
from harness import DATADOG_KEY, Installation, Sandbox, assert_failed, run, running

from execlave_server.datadog.as_code.monitors import SHIPPED
from execlave_server.datadog.as_code.resources import Kind, bodies

APP_KEY = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory) -> Iterator[Sandbox]:
    """A local Datadog."""
    with running(Sandbox(tmp_path_factory.mktemp("datadog"))) as started:
        yield started


@pytest.fixture(scope="module")
def installation(tmp_path_factory, sandbox: Sandbox) -> Installation:
    """An installation that knows the sandbox and both of Datadog's keys."""
    keys = {"DD_API_KEY": DATADOG_KEY, "DD_APP_KEY": APP_KEY}
    return Installation(tmp_path_factory.mktemp("as-code"), variables=keys, datadog_sandbox_url=sandbox.url)


@pytest.mark.parametrize("kind", list(Kind))
def test_render_needs_nothing(kind):
    """Both formats without a data directory; JSON is the bodies, Terraform is HCL."""
    printed = run("datadog", "render", kind)
    terraform = run("datadog", "render", kind, "--format", "terraform", "--notify", "@slack-sec")

    assert json.loads(printed.stdout) == bodies(kind)
    assert hcl2.loads(terraform.stdout)["resource"]
    assert ("@slack-sec" in terraform.stdout) is (kind is Kind.MONITORS)


def test_wrong_usage_is_exit_code_2():
    """A kind that is not there, and options that exclude each other."""
    assert run("datadog", "render", "everything").returncode == 2
    assert run("datadog", "render", "monitors", "--format", "terraform", "--json").returncode == 2


class TestApply:
    def test_a_plan_first_then_everything_once(self, installation, sandbox):
        """--dry-run changes nothing; apply creates all of it; a second apply changes nothing; no key is printed."""
        planned = installation.run_json("datadog", "apply", "--site", "sandbox", "--dry-run")
        there = sandbox.caller.with_key("").ask(
            "GET", "/api/v1/monitor", DD_API_KEY=DATADOG_KEY, DD_APPLICATION_KEY=APP_KEY
        )
        applied = installation.run("datadog", "apply", "--site", "sandbox", "--yes")
        again = installation.run_json("datadog", "apply", "--site", "sandbox")

        count = sum(len(bodies(kind)) for kind in Kind)
        assert (planned["applied"], [step["change"] for step in planned["plan"]]) == (False, ["create"] * count)
        assert there.json == []
        assert applied.stdout.endswith(f"Changed {count} resources.\n"), applied.stderr
        assert (again["applied"], {step["change"] for step in again["plan"]}) == (False, {"unchanged"})
        for ran in (applied.stdout, applied.stderr):
            assert DATADOG_KEY not in ran
            assert APP_KEY not in ran

    def test_what_somebody_changed_is_changed_back(self, installation, sandbox):
        """A monitor that was changed by hand is updated, the others are left, and strangers are untouched."""
        installation.run("datadog", "apply", "monitors", "--site", "sandbox", "--yes")
        keys = {"DD_API_KEY": DATADOG_KEY, "DD_APPLICATION_KEY": APP_KEY}
        [first, *_] = sandbox.caller.ask("GET", "/api/v1/monitor", **keys).json
        changed = {"message": "mine", "priority": 5}
        assert sandbox.caller.ask("PUT", f"/api/v1/monitor/{first['id']}", changed, **keys).status == 200
        stranger = {
            "name": "mine",
            "type": "log alert",
            "query": 'logs("*").rollup("count").last("5m") > 1',
            "message": "",
        }
        strange = sandbox.caller.post("/api/v1/monitor", stranger, **keys).json["id"]

        planned = installation.run_json("datadog", "apply", "monitors", "--site", "sandbox", "--dry-run")
        applied = installation.run_json("datadog", "apply", "monitors", "--site", "sandbox")

        changes = {step["name"]: step["fields"] for step in planned["plan"] if step["change"] == "update"}
        assert list(changes.values()) == [["message", "priority"]]
        assert applied["applied"]
        assert sandbox.caller.ask("GET", f"/api/v1/monitor/{first['id']}", **keys).json["priority"] == first["priority"]
        assert sandbox.caller.ask("GET", f"/api/v1/monitor/{strange}", **keys).json["name"] == "mine"

    @pytest.mark.parametrize("kind", [Kind.PIPELINE, Kind.DASHBOARD, Kind.SIEM, Kind.METRICS])
    def test_a_change_of_any_kind_is_seen_and_mended(self, installation, sandbox, kind):
        """What differs in Datadog is named, and gone after the next apply."""
        path, change = {
            Kind.PIPELINE: ("/api/v1/logs/config/pipelines", {"is_enabled": False}),
            Kind.DASHBOARD: ("/api/v1/dashboard", {"description": "mine"}),
            Kind.SIEM: ("/api/v2/security_monitoring/rules", {"isEnabled": False}),
            Kind.METRICS: ("/api/v2/logs/config/metrics", {}),
        }[kind]
        keys = {"DD_API_KEY": DATADOG_KEY, "DD_APPLICATION_KEY": APP_KEY}
        installation.run("datadog", "apply", kind, "--site", "sandbox", "--yes")
        listed = sandbox.caller.ask("GET", path, **keys).json
        found = (listed if isinstance(listed, list) else listed.get("dashboards") or listed["data"])[0]
        if kind is Kind.METRICS:
            body = {"data": {"type": "logs_metrics", "attributes": {"filter": {"query": "mine"}}}}
            answer = sandbox.caller.ask("PATCH", f"{path}/{found['id']}", body, **keys)
        else:
            [whole] = [body for body in bodies(kind) if body.get("name") == found.get("name")]
            answer = sandbox.caller.ask("PUT", f"{path}/{found['id']}", {**whole, **change}, **keys)
        assert answer.status == 200, answer.body

        planned = installation.run_json("datadog", "apply", kind, "--site", "sandbox")
        after = installation.run_json("datadog", "apply", kind, "--site", "sandbox")

        assert [step["change"] for step in planned["plan"]].count("update") == 1
        assert {step["change"] for step in after["plan"]} == {"unchanged"}

    def test_a_refused_key_is_one_clear_line(self, installation):
        """Exit code 1, what to check, and neither key."""
        wrong = {"DD_API_KEY": "f" * 32, "DD_APP_KEY": APP_KEY}
        ran = run("datadog", "apply", "--site", "sandbox", environment={**installation.environment, **wrong})

        assert_failed(ran, "DATADOG_API", "403", "Check both keys")
        assert "f" * 32 not in ran.stderr

    def test_an_address_where_nobody_answers(self, installation):
        """One clear line as well."""
        ran = installation.run("datadog", "apply", "--api-url", "http://127.0.0.1:1", "--dry-run")

        assert_failed(ran, "DATADOG_API", "could not be reached at http://127.0.0.1:1")

    def test_without_the_client_it_says_what_to_install(self, installation, tmp_path):
        """The extra is optional, and named."""
        (tmp_path / "datadog_api_client.py").write_text("raise ImportError('not here')\n")
        environment = {
            **installation.environment,
            "PYTHONPATH": f"{tmp_path}:{installation.environment.get('PYTHONPATH', '')}",
        }
        ran = run("datadog", "apply", "--site", "sandbox", environment=environment)

        assert_failed(ran, "CLIENT_MISSING", "pip install 'execlave-server[datadog]'")


@pytest.fixture(scope="module")
def past(tmp_path_factory) -> Installation:
    """An installation with a burst of blocks five minutes ago. Both engines: tests/delivery."""
    installation = Installation(tmp_path_factory.mktemp("backtest"))
    with running(installation.serve("--no-worker")) as server:
        blocks = [
            {
                "traceId": f"t{number}",
                "agentId": "burst",
                "status": "policy_blocked",
                "costUsd": 1,
                "metadata": {"spanId": "s", "spanKind": "tool", "spanName": "send_email"},
            }
            for number in range(12)
        ]
        quiet = [{"traceId": f"q{number}", "agentId": "quiet", "status": "success"} for number in range(5)]
        for item in (*blocks, *quiet):
            item["timestamp"] = int(time.time() * 1_000) - 300_000
        assert server.agent.ingest(*blocks, *quiet).status < 300
        server.stop()
    installation.tamper("update batches set received_at_us = received_at_us - 300000000")
    return installation


class TestBacktest:
    def test_shipped_monitors_say_when_they_would_have_fired(self, past):
        """For whom, and from when until when; what cannot be tested says why."""
        found = past.run_json("datadog", "backtest", "--last", "2h")

        by_name = {each["name"]: each for each in found["monitors"]}
        fired = {name: each["firings"] for name, each in by_name.items() if each["firings"]}
        untested = {name for name, each in by_name.items() if each["untested"]}
        burst = fired["Execlave: many actions of one agent stopped or flagged"]
        assert found["logs"] == 17
        assert len(by_name) == len(SHIPPED)
        assert [(each["group"], each["status"], each["worst"]) for each in burst] == [
            ({"@agent_id": "burst"}, "Alert", 12.0)
        ]
        assert fired["Execlave: an agent spends too much"][0]["group"] == {"@agent_id": "burst"}
        assert {each["group"]["@agent_id"] for each in fired["Execlave: an agent that nobody registered"]} == {
            "burst",
            "quiet",
        }
        assert untested == {"Execlave: the stream is late", "Execlave: the stream is silent"}

    def test_a_monitor_of_ones_own(self, past, tmp_path):
        """A file with a query is enough; the printed form of the specification never fires, the corrected one does."""
        files = {}
        for name, status in (("printed", "status"), ("corrected", "@status")):
            query = f'logs("source:execlave {status}:policy_blocked").rollup("count").by("@agent_id").last("15m") > 10'
            files[name] = tmp_path / f"{name}.json"
            files[name].write_text(json.dumps({"name": name, "query": query}))

        found = past.run_json(
            *("datadog", "backtest", "--last", "1h"),
            *("--monitor", str(files["printed"]), "--monitor", str(files["corrected"])),
        )

        assert [(each["name"], each["logs"], len(each["firings"])) for each in found["monitors"]] == [
            ("printed", 0, 0),
            ("corrected", 12, 1),
        ]

    def test_as_text_with_a_line(self, past):
        """A paragraph a monitor, with a sparkline."""
        printed = past.run("datadog", "backtest", "--last", "90m").stdout

        assert "Execlave: many actions of one agent stopped or flagged: 1 alerts" in printed
        assert "█" in printed
        assert "cannot be tested, heartbeats" in printed

    @pytest.mark.parametrize("content", ["[]", "{}", "no", '{"query": "logs(\\"a\\")"}'])
    def test_a_file_that_is_no_monitor(self, past, tmp_path, content):
        """One clear line, exit code 1."""
        file = tmp_path / "monitor.json"
        file.write_text(content)

        ran = past.run("datadog", "backtest", "--monitor", str(file))
        assert (ran.returncode, ran.stdout, len(ran.stderr.strip().splitlines())) == (1, "", 1)
