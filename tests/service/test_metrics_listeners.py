"""Where metrics are to be had: on listeners of their own, or behind the token; nowhere unless asked for."""

import time
from collections.abc import Iterator

import pytest
from harness import Caller, Platform, start_platform, wait_for

TOKEN = "a-token-for-prometheus"


@pytest.fixture(scope="module")
def platform(tmp_path_factory) -> Iterator[Platform]:
    """A platform that shows its metrics in all three places."""
    settings = {"metrics_address": "0", "worker_metrics_address": "127.0.0.1:0", "metrics_token": TOKEN}
    with start_platform(tmp_path_factory.mktemp("metrics"), **settings) as started:
        yield started


def listener(platform: Platform, process: str) -> Caller:
    """The listener that a process has opened."""
    pattern = rf'(?m)^(?=.*"process": "{process}")(?=.*"event": "metrics.ready").*"address": "(127[^"]+)"'
    return Caller(f"http://{platform.server.wait_for_line(pattern)[1]}")


def test_the_main_port_shows_them_to_the_token_alone(platform: Platform) -> None:
    """With the token 200, with an API key or nothing 401."""
    answer = platform.server.anyone.with_key(TOKEN).get("/metrics")

    assert (answer.status, answer.headers["content-type"].split(";")[0]) == (200, "text/plain")
    assert b"execlave_http_requests_total" in answer.body
    assert [caller.get("/metrics").status for caller in (platform.server.admin, platform.server.anyone)] == [401, 401]


def test_the_server_counts_requests_decisions_and_traces(platform: Platform) -> None:
    """By route and status, outcome, and what became of each trace; both prefixes of a route are one."""
    agent = platform.server.agent
    agent.post("/api/v1/agents", {"agentId": "bot", "name": "Bot"})
    agent.enforce("bot")
    agent.enforce("nobody-registered-this")
    agent.ingest({"traceId": "t1", "status": "success"}, {"traceId": "t2", "status": "success"})
    agent.ingest({"traceId": "t1", "status": "success"}, {"status": "no id"})
    agent.get("/api/agents")
    shown = listener(platform, "server").get("/metrics").body.decode()

    assert 'execlave_traces_ingested_total{outcome="stored"} 2.0' in shown
    assert 'execlave_traces_ingested_total{outcome="refused"} 1.0' in shown
    assert 'execlave_enforce_decisions_total{outcome="allowed"}' in shown
    assert 'execlave_http_requests_total{method="POST",route="/traces/ingest",status="202"} 2.0' in shown
    assert 'execlave_http_requests_total{method="GET",route="/agents",status="200"} 1.0' in shown
    assert "nobody-registered-this" not in shown


def test_the_worker_shows_its_own(platform: Platform) -> None:
    """Deliveries are counted by the process that makes them."""
    platform.server.agent.ingest({"traceId": "t9", "status": "success"})
    worker = listener(platform, "worker")

    wait_for(lambda: "execlave_logs_delivered_total{" in worker.get("/metrics").body.decode(), "a delivery")
    assert worker.get("/other").status == 404


def test_without_settings_there_are_none(tmp_path) -> None:
    """404 on the main port, and no listener; a listener whose address is taken costs only the metrics."""
    with start_platform(tmp_path) as platform:
        assert platform.server.anyone.with_key(TOKEN).get("/metrics").status == 404
        assert "metrics.ready" not in platform.server.log
        taken = f"127.0.0.1:{platform.server.port}"
        platform.server.stop()
        with_taken = platform.installation.serve(port=platform.server.port, metrics_address=taken)
        try:
            with_taken.wait_for_line("metrics.listener_failed")
            assert with_taken.agent.ingest({"traceId": "t1", "status": "success"}).status == 202
        finally:
            with_taken.stop()


def test_doctor_runs_beside_everything(platform: Platform) -> None:
    """While a real server and worker are under load, doctor finds nothing, and its sums are right at the end."""
    deadline = time.monotonic() + 4
    number = examined = 0
    while time.monotonic() < deadline:
        for _ in range(20):
            items = [{"traceId": f"load{number}-{each}", "status": "success"} for each in range(50)]
            assert platform.server.agent.ingest(*items).status == 202
            number += 1
        report = platform.installation.run_json("doctor")
        examined += 1
        assert (report["healthy"], report["findings"]) == (True, [])
        assert all(each["balanced"] for each in report["destinations"])
    committed = platform.server.wait_until_delivered()
    (standing,) = platform.installation.run_json("doctor", "--deep")["destinations"]

    assert examined >= 2
    assert (standing["committed"], standing["delivered"], standing["waiting"]) == (committed, committed, 0)
    platform.installation.rows("delete from outbox where batch = (select min(batch) from outbox)")
    found = platform.installation.run("doctor")
    assert found.returncode == 1
    assert "ERROR LEDGER_ROW_MISSING" in found.stdout
    assert "WRONG" in found.stdout
