"""SIGKILL while agents work: what was answered 2xx is delivered, and nothing is that was not sent.

A trace counts as answered when the SDK's own `_request` returned from `/traces/ingest`: it raises on everything but a
2xx. Each client's `_request` is therefore wrapped by one that notes the items of the calls that returned; the request
itself is the SDK's, with its retries. A span that the SDK gave up on may be stored or not: it was sent, and is not
counted among the answered.
"""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import Any

import pytest
from execlave import Execlave
from harness import Platform, Server, kill_process, running, sdk_client, start_platform, wait_for
from tau_bench import count_spans, identity, load_runs, replay_run

RUNS = 60
CLIENTS = 3
SPANS_PER_REQUEST = 5
BATCHES = 24  # of the requests under way at once when the server dies
BATCH_SPANS = 200
# What is killed in turn, each after so many more answered requests: somewhere inside the work of three clients.
KILLS = ["server-process", "worker", "server-process", "serve", "worker", "server-process"]
ANSWERED_BETWEEN = 20


def note_answered(exe: Execlave, answered: list[dict[str, Any]]) -> None:
    """Keep the items of every ingest request that was answered 2xx."""
    send = exe._request

    def request(method: str, path: str, **content: Any) -> Any:
        body = send(method, path, **content)
        if path.endswith("/traces/ingest"):
            assert body["errors"] == []
            answered.extend(content["json"]["traces"])
        return body

    exe._request = request


class Fleet:
    """Clients of the published SDK that replay all runs, again and again until they are told to finish."""

    def __init__(self, url: str, key: str, runs: list[dict[str, Any]]) -> None:
        self._address = (url, key)
        self._runs = runs
        self.sent: list[dict[str, Any]] = []
        self.answered: list[dict[str, Any]] = []
        self._finishing = threading.Event()
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._work = [self._pool.submit(self._replay, number) for number in range(CLIENTS)]

    def wait_for_answers(self) -> None:
        """Wait until some more requests are answered."""
        enough = len(self.answered) + ANSWERED_BETWEEN * SPANS_PER_REQUEST
        wait_for(lambda: len(self.answered) >= enough or any(work.done() for work in self._work), "more answers")

    def finish(self) -> None:
        """Let each client end with the run it is at, and raise what any raised."""
        self._finishing.set()
        self._pool.shutdown()
        for work in self._work:
            work.result()

    def _replay(self, number: int) -> None:
        url, key = self._address
        mine = self._runs[number::CLIENTS]
        with sdk_client(url, key, batch_size=SPANS_PER_REQUEST) as exe:
            note_answered(exe, self.answered)
            for count, run in enumerate(itertools.cycle(mine), start=1):
                self.sent += replay_run(exe, f"airline-{number}", run)
                if count >= len(mine) and self._finishing.is_set():
                    return


def kill(platform: Platform, server: Server, what: str) -> None:
    """Kill a child of `serve`, or `serve` itself. The worker is killed while its request waits for its answer."""
    if what == "worker":
        before = platform.sandbox.stats()["faults_applied"]
        platform.sandbox.fail({"times": None, "delay_ms": 5_000})
        wait_for(lambda: platform.sandbox.stats()["faults_applied"] > before, "a request under way")
    if what == "serve":
        server.kill()
    else:
        server.kill_child(what)
    platform.sandbox.fail()


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    """A platform of this module's own, to be killed."""
    with start_platform(tmp_path_factory.mktemp("kill")) as started:
        yield started


class TestKill:
    def test_connections_queue_while_the_server_is_down(self, platform):
        """With the server killed, requests sent at once are answered by the next one instead of being refused."""
        platform.server.kill_child("server-process")
        with ThreadPoolExecutor(8) as clients:
            items = ({"traceId": f"queued-{number}", "status": "success"} for number in itertools.count())
            answers = list(clients.map(platform.server.agent.ingest, itertools.islice(items, 8)))

        assert [answer.status for answer in answers] == [202] * 8

    def test_requests_under_way_when_the_server_dies_are_never_half_done(self, platform):
        """Killed at its first answer of many, the server has stored each batch whole or not at all, the answered whole.

        Sending them all again completes them.
        """
        agent = platform.server.agent
        batches = {
            f"batch-{number}": [
                {"traceId": f"batch-{number}", "metadata": {"spanId": str(span)}, "status": "success"}
                for span in range(BATCH_SPANS)
            ]
            for number in range(BATCHES)
        }
        pid = platform.server.child("server-process")
        answered: set[str] = set()

        def send(name: str) -> None:
            try:
                if agent.ingest(*batches[name]).status == 202:
                    answered.add(name)
            except OSError:
                return  # the answer was lost with the server

        with ThreadPoolExecutor(BATCHES) as clients:
            sending = [clients.submit(send, name) for name in batches]
            wait_for(lambda: answered, "the first answer")
            kill_process(pid)
            wait(sending)
        stored = dict(platform.installation.rows("select trace_id, count(*) from traces group by 1"))
        again = {name: agent.ingest(*items).json for name, items in batches.items()}

        assert {stored[name] for name in answered} == {BATCH_SPANS}
        assert {stored.get(name, 0) for name in batches} <= {0, BATCH_SPANS}
        for name, answer in again.items():
            assert (answer["accepted"], answer.get("duplicates", 0)) == (BATCH_SPANS, stored.get(name, 0))

    def test_nothing_answered_is_lost_and_nothing_is_invented(self, platform):
        """Server, worker and both together are killed while agents work: each answered trace arrives as it was sent."""
        runs = load_runs()[:RUNS]
        server = platform.server
        fleet = Fleet(server.url, platform.installation.api_key, runs)
        with ExitStack() as started:
            try:
                for what in KILLS:
                    fleet.wait_for_answers()
                    kill(platform, server, what)
                    if what == "serve":
                        server = started.enter_context(running(platform.installation.serve(port=server.port)))
                fleet.wait_for_answers()
            finally:
                fleet.finish()
            server.wait_until_delivered()

        logs = [log for log in platform.sandbox.logs() if log.get("agent_id", "").startswith("airline-")]
        delivered = {(log["execlave"]["trace_id"], log["execlave"]["span_id"]): log for log in logs}
        sent = {identity(item): item for item in fleet.sent}
        assert len(sent) >= sum(count_spans(run) for run in runs)
        assert len(fleet.answered) > len(sent) / 2
        assert {identity(item) for item in fleet.answered} <= delivered.keys()
        assert delivered.keys() <= sent.keys()
        for key, log in delivered.items():
            assert (log["status"], log["duration_ms"], log["agent_id"]) == (
                sent[key]["status"],
                sent[key]["durationMs"],
                sent[key]["agentId"],
            )
        keys = {log["execlave"]["delivery_key"] for log in logs}
        assert len(keys) == len(delivered)
