"""The control channel as the published SDK uses it, with websocket-client."""

import gc
import time

import pytest
from execlave import Execlave
from harness import Installation, Platform, running, sdk_client, wait_for

AT_ONCE_S = 1.5  # a second, and half of one for a busy machine


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


def test_revoking_a_key_closes_its_socket(platform):
    """Revoked by command, the key's client loses its socket within a second."""
    made = platform.installation.run_json("key", "create")
    with connected(platform, made["apiKey"]) as revoked:
        platform.installation.run("key", "revoke", made["id"])
        took_s = seconds_until(lambda: not revoked._sio.connected)

    assert took_s < AT_ONCE_S


@pytest.fixture
def collected():
    """The SDK's Socket.IO client leaves the sockets of failed attempts to the collector: while this test runs."""
    yield
    gc.collect()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("collected")
def test_a_server_with_open_sockets_stops_and_clients_come_back(tmp_path):
    """Restarting takes no longer for a client that listens, which connects again by itself and hears of a pause."""
    installation = Installation(tmp_path)
    with running(installation.serve("--no-worker")) as server:
        with Connected(sdk_client(server.url, installation.api_key, enable_control_channel=True)) as exe:
            agent = exe.register_agent("bot", "Bot")
            started = time.monotonic()
            code = server.stop()
            took_s = time.monotonic() - started
            wait_for(lambda: "/sdk" not in exe._sio.namespaces, "a lost socket")
            with running(installation.serve("--no-worker", port=server.port)) as successor:
                wait_for(lambda: "/sdk" in exe._sio.namespaces, "a socket again")
                successor.admin.patch(f"/api/v1/agents/{agent.id}/pause", {})
                seconds_until(lambda: exe._state == "PAUSED")

        assert (code, took_s < 3) == (0, True)
        assert "Traceback" not in server.log
