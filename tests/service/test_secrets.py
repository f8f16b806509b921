"""`secrets rotate` beside a server and a worker that run since before."""

import json

from harness import DATADOG_KEY, Installation, Platform, assert_failed, start_platform


def deliver(platform: Platform, trace_id: str) -> int:
    """Send a trace; how many logs of it arrive."""
    assert platform.server.agent.ingest({"traceId": trace_id, "status": "success", "agentId": "bot"}).status == 202
    return len(platform.sandbox.wait_for_logs(lambda log: log.get("trace_id") == trace_id, 1))


def test_everything_goes_on_under_a_new_key(tmp_path) -> None:
    """Delivery, API keys, new destinations and restarts work after a rotation; the old key file opens nothing."""
    with start_platform(tmp_path) as platform:
        old = (tmp_path / "data.kek").read_text()
        first = deliver(platform, "before")

        rotated = platform.installation.run_json("secrets", "rotate")
        added = platform.server.admin.post(
            "/api/v1/integrations", {"name": "Second", "site": "sandbox", "apiKey": DATADOG_KEY}
        ).data
        tested = platform.server.admin.post(f"/api/v1/integrations/{added['id']}/test").data
        second = deliver(platform, "after")
        platform.server.kill_child("worker")
        platform.server.kill_child("server-process")
        third = deliver(platform, "after a restart")

        assert (first, second, third, tested["passed"]) == (1, 1, 1, True)
        assert (rotated["rewrapped"], rotated["removedKeys"], rotated["resumed"]) == (2, 1, False)
        assert json.loads((tmp_path / "data.kek").read_text())["primaryKeyId"] == rotated["primaryKeyId"]
        (tmp_path / "old.kek").touch(mode=0o600)
        (tmp_path / "old.kek").write_text(old)
        under_the_old = platform.installation.run("org", "list", kek=f"file:{tmp_path / 'old.kek'}")
        assert_failed(under_the_old, "SECRET", "another key-encryption key")


def test_it_says_what_to_do_next(tmp_path) -> None:
    """For people it names the new key, the counts, and the file to back up."""
    ran = Installation(tmp_path).run("secrets", "rotate", "--keep-old")

    assert ran.returncode == 0
    assert "Secrets wrapped anew: 1. Old keys removed: 0." in ran.stdout
    assert f"Back up {tmp_path / 'data.kek'} now" in ran.stdout
