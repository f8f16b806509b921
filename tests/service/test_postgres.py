"""Servers and workers on PostgreSQL: together, and while it comes and goes."""

import json
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
from harness import (
    Caller,
    Installation,
    Program,
    Sandbox,
    Worker,
    assert_failed,
    clean_environment,
    run,
    running,
    wait_for,
)
from test_enforce_contract import JUDGED, UNJUDGED
from test_ingest_contract import REFUSED, STORED, body_of

from postgres_server import Postgres, start_postgres

REQUESTS = 30
TRACES_PER_REQUEST = 100


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    """A database server that this module may stop."""
    with start_postgres() as started:
        yield started


@contextmanager
def installed(folder, url, **settings) -> Iterator[tuple[Sandbox, Installation]]:
    """A sandbox, and an installation on PostgreSQL that delivers to it."""
    with running(Sandbox(folder)) as sandbox:
        installation = Installation(folder, datadog_sandbox_url=sandbox.url, database_url=url, **settings)
        installation.add_destination()
        yield sandbox, installation


def items(prefix: str, count: int = TRACES_PER_REQUEST) -> list[dict[str, object]]:
    """Traces by a name of their own."""
    return [{"traceId": f"{prefix}-{number}", "status": "success", "agentId": "a"} for number in range(count)]


def test_servers_and_workers_share_a_database(tmp_path, postgres):
    """Two servers take traces, three workers drain them together, and each log arrives exactly once."""
    with installed(tmp_path, postgres.new_database()) as (sandbox, installation), ExitStack() as stack:
        servers = [stack.enter_context(running(installation.serve("--no-worker"))) for _ in range(2)]
        for _ in range(3):
            stack.enter_context(running(Worker(installation)))

        def send(number: int) -> int:
            return servers[number % 2].agent.ingest(*items(f"r{number}")).status

        with ThreadPoolExecutor(6) as pool:
            statuses = list(pool.map(send, range(REQUESTS)))
        repeated = servers[0].agent.ingest(*items("r1"))  # which the other server took
        committed = servers[0].wait_until_delivered()
        arrived = Counter(log["trace_id"] for log in sandbox.logs())

    assert set(statuses) <= {200, 202}
    assert repeated.json["duplicates"] == TRACES_PER_REQUEST
    assert committed == REQUESTS * TRACES_PER_REQUEST
    wanted = {f"r{number}-{each}" for number in range(REQUESTS) for each in range(TRACES_PER_REQUEST)}
    assert set(arrived) == wanted
    assert set(arrived.values()) == {1}


def test_what_one_server_revokes_the_other_refuses(tmp_path, postgres):
    """A pause and a revocation acknowledged by one server hold on the other at once."""
    with installed(tmp_path, postgres.new_database()) as (_, installation), ExitStack() as stack:
        one, other = (stack.enter_context(running(installation.serve("--no-worker"))) for _ in range(2))
        assert one.admin.post("/api/v1/agents", {"agentId": "bot", "name": "Bot"}).status < 300
        allowed = other.agent.enforce("bot")

        paused = one.admin.patch("/api/v1/agents/bot/pause", {"reason": "incident"})
        refused = other.agent.enforce("bot")
        (key_id,) = [key["id"] for key in installation.run_json("key", "list") if key["role"] == "agent"]
        assert installation.run("key", "revoke", key_id).returncode == 0
        revoked = other.agent.ingest(*items("late", 1))

    assert (allowed.status, allowed.json["allowed"]) == (200, True)
    assert paused.status == 200
    assert (refused.status, refused.json["allowed"]) == (403, False)
    assert revoked.status == 401


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_restart_of_the_database_loses_nothing(tmp_path, own_postgres, how):
    """While the database is away the server answers 503; it recovers by itself, and no 2xx is lost."""
    with (
        installed(tmp_path, own_postgres.new_database()) as (sandbox, installation),
        running(installation.serve()) as server,
    ):
        answered, refused, finishing = [], Counter(), threading.Event()

        def produce(name: str) -> None:
            turn = 0
            while not finishing.is_set():
                batch = items(f"{name}{turn}", 20)
                status = server.agent.ingest(*batch).status
                if status < 300:
                    answered.extend(item["traceId"] for item in batch)
                else:
                    refused[status] += 1
                turn += 1

        with ThreadPoolExecutor(3) as pool:
            work = [pool.submit(produce, name) for name in "abc"]
            wait_for(lambda: len(answered) > 500, "answers")
            own_postgres.control("stop", "-m", how)
            wait_for(lambda: refused[503] > 5, "refusals")
            decision = server.agent.enforce("a")
            own_postgres.control("start", "-o", own_postgres.options, "-l", "/dev/null")
            before = len(answered)
            wait_for(lambda: len(answered) > before + 500, "answers again")
            finishing.set()
        for each in work:
            each.result()
        committed = server.wait_until_delivered()
        arrived = {log["trace_id"] for log in sandbox.logs()}

    assert set(refused) == {503}
    assert decision.status == 503
    assert set(answered) <= arrived
    assert len(arrived) == committed


def test_a_database_that_is_away_at_the_start_is_awaited(tmp_path, own_postgres):
    """Started before its database, `serve` and a worker of its own say that they wait, and work once it is there."""
    with installed(tmp_path, own_postgres.new_database()) as (sandbox, installation), ExitStack() as stack:
        own_postgres.control("stop", "-m", "immediate")
        starting = {
            name: stack.enter_context(running(Program(command, tmp_path / f"{name}.log", installation.environment)))
            for name, command in {"serve": ["serve", "--no-worker", "--port", "0"], "worker": ["worker"]}.items()
        }
        for program in starting.values():
            program.wait_for_line("database.awaited")
        own_postgres.control("start", "-o", own_postgres.options, "-l", "/dev/null")

        url = starting["serve"].wait_for_line(r"Serving on (\S+)")[1]
        answer = Caller(url).with_key(installation.api_key).ingest(*items("early", 3))
        arrived = sandbox.wait_for_logs(lambda log: log["trace_id"].startswith("early"), 3)

    assert answer.status == 202
    assert len(arrived) == 3


def test_a_second_node_needs_no_init(tmp_path, postgres):
    """`init` says that the database is initialised already; with the same key a further node serves, without it not."""
    url = postgres.new_database(migrated=False)
    with installed(tmp_path, url) as (_, installation):
        kek = f"file:{tmp_path / 'copied.kek'}"
        shutil.copy(tmp_path / "data.kek", tmp_path / "copied.kek")
        second = {**installation.environment, "EXECLAVE_SERVER_DATA_DIR": str(tmp_path / "second")}

        again = run("init", environment=second | {"EXECLAVE_SERVER_KEK": kek})
        assert_failed(again, "DATA_DIR", "initialised already", "EXECLAVE_SERVER_KEK")
        without = run("key", "list", environment=second)
        assert_failed(without, "SECRET")
        listed = run("key", "list", "--json", environment=second | {"EXECLAVE_SERVER_KEK": kek})
        assert len(json.loads(listed.stdout)) == 2
        assert run("migrate", environment=second).stdout == "Up to date.\n"


def test_what_the_contracts_take_and_refuse_is_the_same(tmp_path, postgres):
    """Unusual items and bodies meet the same answers as on SQLite: none is too odd for a text column."""
    with (
        installed(tmp_path, postgres.new_database()) as (_, installation),
        running(installation.serve("--no-worker")) as server,
    ):
        odd = [text.replace(b"%b", kind.encode()) for kind, text in STORED.items()]
        sent = [server.agent.post("/api/v1/traces/ingest", body_of(item)).status for item in (*odd, *REFUSED.values())]
        judged = [server.agent.post("/api/v1/policies/enforce", body).status for body in JUDGED.values()]
        unjudged = [server.agent.post("/api/v1/policies/enforce", body).status for body in UNJUDGED.values()]
        named = server.agent.post("/api/v1/agents", {"agentId": "a\0b", "name": "A"})
        rows = installation.rows("select count(*) from traces where organization = ? and span_id not like 'dec_%'", 1)

    assert sent == [202] * len(STORED) + [400] * len(REFUSED)
    assert set(judged) == {200}
    assert set(unjudged) == {403}
    assert (named.status, named.code) == (400, "VALIDATION_ERROR")
    assert rows == [(len(STORED),)]


def test_an_empty_database_is_not_served(tmp_path, postgres):
    """Every command says that there is no installation yet, and how to make one; nothing is made on the way."""
    url = postgres.new_database(migrated=False)
    environment = clean_environment(database_url=url, data_dir=str(tmp_path / "data"))

    for command in (["serve", "--port", "0"], ["migrate"]):
        assert_failed(run(*command, environment=environment), "DATA_DIR", "execlave-server init")


def test_two_inits_make_one_installation(tmp_path, postgres):
    """Of two `init` at the same moment on one database one makes the installation, the other says that it is made."""
    url = postgres.new_database(migrated=False)

    def init(number: int):
        data_dir = tmp_path / str(number)
        return run("init", "--json", environment=clean_environment(database_url=url, data_dir=str(data_dir)))

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(init, range(2)))

    assert sorted(result.returncode for result in results) == [0, 1], [result.stderr for result in results]
    (failed,) = (result for result in results if result.returncode)
    assert_failed(failed, "DATA_DIR", "initialised already")
