"""A new API key without a gap."""

from collections.abc import Iterator

import pytest
from harness import DATADOG_KEY, Platform, start_platform

NEW_KEY = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"


@pytest.fixture
def platform(tmp_path) -> Iterator[Platform]:
    """An installation whose destination has its first key."""
    with start_platform(tmp_path) as started:
        yield started


def deliver(platform: Platform, trace_id: str) -> int:
    """Send a trace; how many logs of it arrive."""
    platform.server.agent.ingest({"traceId": trace_id, "status": "success", "agentId": "bot"})
    return len(platform.sandbox.wait_for_logs(lambda log: log.get("trace_id") == trace_id, 1))


def test_a_new_key_takes_over_when_it_has_passed(platform: Platform) -> None:
    """A key that fails its test changes nothing; one that passes delivers from then on."""
    destination = platform.installation.run_json("destination", "list", "--json")[0]["id"]
    rotate = ("destination", "rotate", destination, "--api-key-stdin", "--json")

    refused = platform.installation.run(*rotate, stdin=NEW_KEY)
    before = deliver(platform, "under the old key")
    platform.sandbox.accept(DATADOG_KEY, NEW_KEY)
    accepted = platform.installation.run_json(*rotate, stdin=NEW_KEY)
    platform.sandbox.accept(NEW_KEY)
    after = deliver(platform, "under the new key")

    assert (refused.returncode, before, after) == (1, 1, 1)
    assert (accepted["passed"], accepted["apiKeyLastFour"], accepted["state"]) == (True, NEW_KEY[-4:], "enabled")
