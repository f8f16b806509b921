"""Starting and ending: what `serve`, `worker` and `sandbox` refuse to start on, and that they leave nothing behind."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from harness import (
    Installation,
    Program,
    Sandbox,
    assert_failed,
    clean_environment,
    is_running,
    kill_process,
    run,
    running,
    wait_for,
)

from execlave_server.app.worker_process import WORKER_NICENESS


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory) -> Iterator[Sandbox]:
    """A sandbox for the destination added here."""
    with running(Sandbox(tmp_path_factory.mktemp("sandbox"))) as started:
        yield started


@pytest.fixture(scope="module")
def installation(tmp_path_factory, sandbox) -> Installation:
    """A data directory of this module's own."""
    return Installation(tmp_path_factory.mktemp("serve"), datadog_sandbox_url=sandbox.url)


class TestServe:
    def test_a_port_in_use_is_named(self, installation):
        """A port that another program holds is an error that names it and the way out."""
        with closing(socket.create_server(("127.0.0.1", 0))) as taken:
            port = taken.getsockname()[1]
            ran = installation.run("serve", "--port", str(port))

        assert_failed(ran, "BAD_SETTING", f"127.0.0.1:{port}", "--port")

    def test_beyond_loopback_it_asks_for_protection(self, installation):
        """Listening for other machines over plain HTTP is refused unless asked for by name."""
        ran = installation.run("serve", "--host", "0.0.0.0", "--port", "0")  # noqa: S104 - what is refused

        assert_failed(ran, "BAD_SETTING", "--insecure", "EXECLAVE_SERVER_TLS_CERT_FILE")

    def test_beyond_loopback_it_serves_when_asked_by_name(self, installation):
        """With `--insecure` it does listen beyond loopback."""
        arguments = ["serve", "--host", "0.0.0.0", "--port", "0", "--insecure", "--no-worker"]  # noqa: S104
        log_file = installation.folder / "insecure.log"
        with running(Program(arguments, log_file, installation.environment)) as program:
            assert program.wait_for_line(r"Serving on http://0\.0\.0\.0:\d+")

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
    def test_told_to_stop_it_leaves_nothing_behind(self, installation, number):
        """SIGTERM or Ctrl-C ends parent, server and worker cleanly; everything sent before is stored and folded in."""
        server = installation.serve()
        children = [server.child("server-process"), server.child("worker")]
        assert server.agent.ingest({"traceId": f"last before {number}", "status": "success"}).status == 202
        code = server.stop(number)

        assert code == 0
        assert not [pid for pid in children if is_running(pid)]
        assert "Traceback" not in server.log
        assert installation.rows("select count(*) from traces where trace_id = ?", f"last before {number}") == [(1,)]

    def test_when_the_parent_is_killed_its_children_end_too(self, installation):
        """Nothing is left running when the parent of `serve` dies by SIGKILL, and its port is free again."""
        server = installation.serve()
        children = [server.child("server-process"), server.child("worker")]
        server.kill()
        try:
            wait_for(lambda: not [pid for pid in children if is_running(pid)], "the end of the children")
        finally:
            for pid in filter(is_running, children):
                kill_process(pid)

        with running(installation.serve(port=server.port)) as again:
            assert again.port == server.port

    def test_a_child_that_dies_is_started_again(self, installation):
        """Server and worker are replaced by new processes when they die."""
        with running(installation.serve()) as server:
            for command in ("worker", "server-process"):
                before = server.child(command)
                server.kill_child(command)
                after = wait_for(lambda command=command: server.child(command), f"another {command}")

                assert after != before
            assert server.anyone.get("/ready").status == 200

    def test_the_worker_goes_last(self, installation):
        """The worker has a lower priority than the server, also where the kernel shares the cores out by session."""
        with running(installation.serve()) as server:
            worker, answering = server.child("worker"), server.child("server-process")
            wait_for(lambda: os.getpriority(os.PRIO_PROCESS, worker) == WORKER_NICENESS, "a worker that goes last")
            of_session = Path(f"/proc/{worker}/autogroup")
            if of_session.exists() and "nice" in of_session.read_text():
                wait_for(lambda: f"nice {WORKER_NICENESS}" in of_session.read_text(), "a session that goes last")
                assert "nice 0" in Path(f"/proc/{answering}/autogroup").read_text()

            assert os.getpriority(os.PRIO_PROCESS, answering) == os.getpriority(os.PRIO_PROCESS, 0)

    def test_without_a_worker_one_can_be_run_apart(self, installation, sandbox):
        """`serve --no-worker` exports nothing by itself; a `worker` of its own does, and ends on SIGTERM."""
        installation.add_destination("--name", "Apart")
        with running(installation.serve("--no-worker")) as server:
            server.agent.ingest({"traceId": "apart", "status": "success"})
            assert server.child("server-process")
            assert "worker" not in server.children()
            log_file = installation.folder / "worker.log"
            worker = Program(["worker", "--data-dir", str(installation.data_dir)], log_file, installation.environment)
            with running(worker):
                assert sandbox.wait_for_logs(lambda log: log["trace_id"] == "apart", 1)

                assert worker.stop() == 0

    def test_a_second_server_on_the_same_data_is_refused_until_the_first_ends(self, installation):
        """Two servers never share one SQLite file: the second waits, and answers once the first has ended."""
        with running(installation.serve()) as first:
            log_file = installation.folder / "second.log"
            arguments = ["serve", "--data-dir", str(installation.data_dir), "--port", "0"]
            with running(Program(arguments, log_file, installation.environment)) as second:
                second.wait_for_line("Serving on")
                assert first.anyone.get("/ready").status == 200
                assert "server.ready" not in second.log
                first.stop()

                assert second.wait_for_line("server.ready")

    def test_stopping_does_not_hang_on_a_client_that_holds_its_connection(self, installation):
        """An open connection that asks nothing does not keep the server from ending."""
        server = installation.serve()
        with closing(socket.create_connection(("127.0.0.1", int(server.port)))) as idle:
            idle.sendall(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")
            assert idle.recv(1_000).startswith(b"HTTP/1.1 200")
            code = server.stop()

        assert code == 0
        assert "serve.process_killed" not in server.log


class TestSandbox:
    def test_without_keys_it_does_not_start(self):
        """A sandbox that could take no log says where its keys come from."""
        assert_failed(run("sandbox", "--port", "0"), "BAD_SETTING", "EXECLAVE_SANDBOX_API_KEYS")

    def test_a_key_on_the_command_line_is_warned_of(self, tmp_path):
        """`--api-key` works, with a warning that others can see it."""
        program = Program(["sandbox", "--port", "0", "--api-key", "local"], tmp_path / "log", clean_environment())
        with running(program):
            program.wait_for_line(r"Sandbox on http://127\.0\.0\.1:\d+")

            assert "Warning: --api-key shows in the process list" in program.log
            assert program.stop() == 0

    def test_a_port_in_use_is_named(self):
        """A port that another program holds is an error that names it."""
        with closing(socket.create_server(("127.0.0.1", 0))) as taken:
            port = taken.getsockname()[1]
            environment = clean_environment() | {"EXECLAVE_SANDBOX_API_KEYS": "k"}
            ran = run("sandbox", "--port", str(port), environment=environment)

        assert_failed(ran, "BAD_SETTING", str(port), "--port")
