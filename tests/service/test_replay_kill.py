"""SIGKILL while agents work: what was answered 2xx is delivered, and nothing is that was not sent.

A trace counts as answered when the SDK's own `_request` returned from `/traces/ingest`: it raises on everything but a
2xx. Each client's `_request` is therefore wrapped by one that notes the items of the calls that returned; the request
itself is the SDK's, with its retries. A span that the SDK gave up on may be stored or not: it was sent, and is not
counted among the answered.
"""

import itertools
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
from execlave import Execlave
from harness import Platform, Server, kill_process, running, start_platform, wait_for
from tau_bench import identity, load_runs, replay_run

RUNS = 60
CLIENTS = 3
SPANS_PER_REQUEST = 5
BATCHES = 24  # of the requests under way at once when the server dies
BATCH_SPANS = 200
# After how many answered requests what is killed: each lands somewhere inside the work of three clients.
KILLS = {20: "server-process", 40: "worker", 60: "server-process", 80: "serve", 120: "worker", 140: "server-process"}


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
    """Clients of the published SDK that replay runs until these end, and how far they are."""

    def __init__(self, url: str, key: str, runs: list[dict[str, Any]]) -> None:
        self._address = (url, key)
        self._runs = runs
        self.sent: list[dict[str, Any]] = []
        self.answered: list[dict[str, Any]] = []
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._work = [self._pool.submit(self._replay, number) for number in range(CLIENTS)]

    @property
    def answered_requests(self) -> int:
        """About how many requests were answered."""
        return len(self.answered) // SPANS_PER_REQUEST

    @property
    def is_done(self) -> bool:
        """Whether every client is."""
        return all(work.done() for work in self._work)

    def finish(self) -> None:
        """Wait for the clients, and raise what they raised."""
        self._pool.shutdown()
        for work in self._work:
            work.result()

    def _replay(self, number: int) -> None:
        url, key = self._address
        exe = Execlave(api_key=key, base_url=url, enable_control_channel=False, batch_size=SPANS_PER_REQUEST)
        try:
            note_answered(exe, self.answered)
            for run in self._runs[number::CLIENTS]:
                self.sent += replay_run(exe, f"airline-{number}", run)
        finally:
            exe.shutdown()
            exe._session.close()


def kill(platform: Platform, server: Server, what: str) -> Server:
    """Kill a child of `serve`, or `serve` itself, which is then started again on its port; the server from now on.

    The worker is killed while the intake has a request of its and has not answered yet.
    """
    if what == "worker":
        before = platform.sandbox.stats()["faults_applied"]
        platform.sandbox.fail({"times": None, "delay_ms": 5_000})
        wait_for(lambda: platform.sandbox.stats()["faults_applied"] > before, "a request under way")
    if what != "serve":
        server.kill_child(what)
        platform.sandbox.fail()
        return server
    server.kill()
    return platform.installation.serve(port=server.port)


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
        done: list[str] = []
        try:
            for after, what in KILLS.items():
                wait_for(lambda after=after: fleet.answered_requests >= after or fleet.is_done, f"{after} requests")
                assert not fleet.is_done, f"the replay ended before {what} was killed"
                server = kill(platform, server, what)
                done.append(what)
        finally:
            fleet.finish()
        with running(server):
            server.wait_until_delivered()

        logs = [log for log in platform.sandbox.logs() if log.get("agent_id", "").startswith("airline-")]
        delivered = {(log["execlave"]["trace_id"], log["execlave"]["span_id"]): log for log in logs}
        sent = {identity(item): item for item in fleet.sent}
        assert done == list(KILLS.values())
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
