"""The control channel as the published SDK uses it, with websocket-client."""

import time
import uuid
from collections.abc import Iterator

import pytest
from execlave import AgentPausedError, Execlave
from harness import Platform, sdk_client, wait_for

AT_ONCE_S = 1.5  # a second, and half of one for a busy machine


@pytest.fixture
def agent_id() -> str:
    """The external id of an agent of this test's own."""
    return f"agent-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def exe(platform: Platform) -> Iterator[Execlave]:
    """A client with its control channel connected."""
    with connected(platform, platform.installation.api_key) as client:
        yield client


def connected(platform: Platform, key: str):
    """A client of the SDK, once its socket is admitted."""
    client = sdk_client(platform.server.url, key, enable_control_channel=True)
    return Connected(client)


class Connected:
    """Waits for the socket before anything is tried."""

    def __init__(self, client) -> None:
        self._client = client

    def __enter__(self) -> Execlave:
        exe = self._client.__enter__()
        wait_for(lambda: "/sdk" in exe._sio.namespaces, "an admitted socket")
        return exe

    def __exit__(self, *error: object) -> None:
        self._client.__exit__(*error)


def seconds_until(condition) -> float:
    """How long it takes."""
    started = time.monotonic()
    wait_for(condition, "a push", within_s=20)
    return time.monotonic() - started


def test_a_pause_arrives_at_once_and_so_does_the_resume(platform, exe, agent_id):
    """A paused agent's client knows within a second, long before its poll, and goes on when told."""
    agent = exe.register_agent(agent_id, "Bot")
    platform.server.admin.patch(f"/api/v1/agents/{agent.id}/pause", {"reason": "under review"})
    paused_after_s = seconds_until(lambda: exe._state == "PAUSED")
    with pytest.raises(AgentPausedError):
        exe.start_trace(agent_id=agent_id)
    platform.server.admin.patch(f"/api/v1/agents/{agent.id}/resume", {})
    resumed_after_s = seconds_until(lambda: exe._state == "ACTIVE")
    exe.start_trace(agent_id=agent_id).finish()

    assert max(paused_after_s, resumed_after_s) < AT_ONCE_S


def test_another_key_hears_nothing(platform, exe, agent_id):
    """A client whose key never used the agent goes on, though its own registry knows the name."""
    other = platform.installation.run_json("key", "create")["apiKey"]
    agent = exe.register_agent(agent_id, "Bot")
    with connected(platform, other) as stranger:
        stranger._agents[agent_id] = agent
        platform.server.admin.patch(f"/api/v1/agents/{agent.id}/pause", {})
        seconds_until(lambda: exe._state == "PAUSED")
        time.sleep(AT_ONCE_S)

        assert stranger._state == "ACTIVE"


def test_revoking_a_key_closes_its_socket(platform):
    """Revoked by command, the key's client loses its socket within a second, and is not let in again."""
    made = platform.installation.run_json("key", "create")
    with connected(platform, made["apiKey"]) as revoked:
        platform.installation.run("key", "revoke", made["id"])
        took_s = seconds_until(lambda: not revoked._sio.connected)
        time.sleep(3)  # longer than it waits before it tries again

        assert took_s < AT_ONCE_S
        assert "/sdk" not in revoked._sio.namespaces


def test_a_bad_key_is_refused(platform):
    """A client with a key never issued does not get in; the server goes on."""
    with sdk_client(platform.server.url, "exe_prod_" + "A" * 43, enable_control_channel=True) as stranger:
        time.sleep(0.5)

        assert "/sdk" not in stranger._sio.namespaces
    with connected(platform, platform.installation.api_key):
        pass
