"""Retention as an operator meets it: by itself in the server, and by command beside it."""

import copy
import shutil
from pathlib import Path

import pytest
from harness import Installation, Sandbox, assert_failed, running, wait_for

DAY_US = 86_400_000_000


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Installation:
    """Two batches a hundred days old and one of today; two of them wait for a destination that was never reached."""
    folder = tmp_path_factory.mktemp("retention")
    with running(Sandbox(folder)) as sandbox:
        made = Installation(folder, datadog_sandbox_url=sandbox.url)
        with running(made.serve("--no-worker")) as server:
            assert server.agent.ingest({"traceId": "old", "status": "success"}).status == 202
            made.add_destination()
            for name in ("waiting", "young"):
                assert server.agent.ingest({"traceId": name, "status": "success"}).status == 202
        made.tamper("update batches set received_at_us = received_at_us - ? where id < 3", 100 * DAY_US)
    return made


@pytest.fixture
def installation(template, tmp_path: Path) -> Installation:
    """A copy of it, to be swept."""
    shutil.copytree(template.data_dir, tmp_path / "data")
    twin = copy.copy(template)
    twin.folder, twin.data_dir = tmp_path, tmp_path / "data"
    places = {"DATA_DIR": str(twin.data_dir), "KEK": f"file:{template.folder / 'data.kek'}"}
    twin.environment = template.environment | {f"EXECLAVE_SERVER_{name}": value for name, value in places.items()}
    return twin


class TestSweep:
    def test_the_server_sweeps_by_itself(self, installation):
        """What is past its retention and waits for nobody goes while the server serves; ids go on behind it."""
        with running(installation.serve("--no-worker")) as server:
            wait_for(lambda: installation.rows("select * from sweeps"), "a sweep")
            said = server.wait_for_line(r'"batches": 1.*"retention.swept"|"retention.swept".*"batches": 1')
            assert server.agent.ingest({"traceId": "new", "status": "success"}).status == 202
            counts = server.admin.get("/api/v1/deliveries").data

        assert '"waiting": 1' in said.string
        assert installation.rows("select id, trace_id from traces") == [(2, "waiting"), (3, "young"), (4, "new")]
        assert (counts["committed"], counts["destinations"][0]["waiting"]) == (3, 3)

    def test_retention_0_keeps_everything(self, installation):
        """With a retention of 0 days nothing is swept, and the command asks how many are meant."""
        with running(installation.serve("--no-worker", retention_days="0")) as server:
            assert server.agent.ingest({"traceId": "new", "status": "success"}).status == 202
            asked = installation.run("sweep", retention_days="0")

        assert (asked.returncode, "--days" in asked.stderr) == (2, True)
        assert installation.rows("select count(*) from traces") == [(4,)]

    def test_the_command_says_what_it_does(self, installation):
        """A dry run changes nothing, a sweep leaves what waits with the reason, and force takes that as well."""
        dry = installation.run_json("sweep", "--days", "30", "--dry-run")
        kept = installation.rows("select count(*) from traces")
        ran = installation.run("sweep")
        forced = installation.run_json("sweep", "--force")

        assert dry.keys() == {"before", "dryRun", "batches", "traces", "decisions", "approvals", "left"}
        assert (dry["dryRun"], dry["batches"], dry["traces"], dry["left"]) == (True, 1, 1, {"waiting": 1})
        assert kept == [(3,)]
        assert "1 traces in 1 batches" in ran.stdout
        assert "Left 1 batches: they wait for delivery" in ran.stdout
        assert (forced["batches"], forced["left"]) == (1, {})
        assert installation.rows("select trace_id from traces") == [("young",)]
        assert installation.rows("select first_batch, batches, forced from sweeps order by 1") == [(1, 1, 0), (2, 1, 1)]

    def test_days_that_cannot_be_meant_are_refused(self, template):
        """A retention below a day is wrong usage, one below zero a bad setting."""
        assert template.run("sweep", "--days", "0").returncode == 2
        assert_failed(template.run("sweep", retention_days="-1"), "BAD_SETTING", "RETENTION_DAYS")
