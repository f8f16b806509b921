"""Moving an installation from SQLite to PostgreSQL."""

import copy
import shutil

import pytest
from harness import Installation, Sandbox, assert_failed, run, running

TABLES = ("organizations", "api_keys", "agents", "labels", "batches", "traces", "decisions", "destinations", "outbox")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A SQLite installation that has served: agents, decisions, traces delivered and waiting, and its sandbox."""
    folder = tmp_path_factory.mktemp("original")
    with running(Sandbox(folder)) as sandbox:
        installation = Installation(folder, datadog_sandbox_url=sandbox.url)
        installation.add_destination()
        with running(installation.serve()) as server:
            assert server.agent.post("/api/v1/agents", {"agentId": "bot", "name": "Bot"}).status < 300
            server.agent.enforce("bot")
            server.agent.ingest(*({"traceId": f"t{number}", "status": "success"} for number in range(500)))
            server.wait_until_delivered()
        with running(installation.serve("--no-worker")) as server:
            server.agent.ingest({"traceId": "waiting", "status": "error", "agentId": "bot"})
        yield installation, sandbox


@pytest.fixture
def lived_in(original, tmp_path):
    """A copy of it for each test."""
    installation, sandbox = original
    shutil.copytree(installation.data_dir, tmp_path / "data")
    shutil.copy(installation.folder / "data.kek", tmp_path)
    mine = copy.copy(installation)
    mine.folder, mine.data_dir = tmp_path, tmp_path / "data"
    mine.environment = installation.environment | {"EXECLAVE_SERVER_DATA_DIR": str(mine.data_dir)}
    return mine, sandbox


def counts(installation: Installation) -> dict[str, int]:
    """How many rows each table has."""
    return {table: installation.rows(f"select count(*) from {table}")[0][0] for table in TABLES}  # noqa: S608 - names above


def on_postgres(installation: Installation, url: str) -> dict[str, str]:
    """The environment of the same installation on PostgreSQL."""
    return installation.environment | {"EXECLAVE_SERVER_DATABASE_URL": url}


def test_an_installation_moves_whole(lived_in, postgres):
    """Everything is there afterwards, row for row; the same keys work, repeats are known, what waited is delivered."""
    installation, sandbox = lived_in
    url = postgres.new_database(migrated=False)
    before = counts(installation)
    keys, logs = installation.run_json("key", "list"), len(sandbox.logs())

    copied = run("copy", "--from", str(installation.data_dir), environment=on_postgres(installation, url))
    installation.environment = on_postgres(installation, url)

    assert copied.returncode == 0, copied.stderr
    assert "501 traces" in copied.stdout
    assert counts(installation) == before
    assert installation.run_json("key", "list") == keys
    with running(installation.serve()) as server:
        again = server.agent.ingest({"traceId": "t1", "status": "success"})
        assert again.json["duplicates"] == 1
        assert server.agent.ingest({"traceId": "new", "status": "success"}).json["accepted"] == 1
        assert server.agent.post("/api/v1/agents", {"agentId": "second", "name": "Second"}).status < 300
        server.wait_until_delivered()
        assert len(sandbox.logs()) == logs + 2
    ids = installation.rows("select max(id) = count(*) from traces")
    assert ids == [(True,)]


def test_what_is_not_empty_is_refused(lived_in, postgres):
    """A database that has an installation already is not copied into, and neither is changed."""
    installation, _ = lived_in
    environment = on_postgres(installation, postgres.new_database())
    first = run("copy", "--from", str(installation.data_dir), "--json", environment=environment)
    again = run("copy", "--from", str(installation.data_dir), environment=environment)

    assert first.returncode == 0, first.stderr
    assert (again.returncode, again.stdout) == (1, "")
    assert "is not empty" in again.stderr


def test_a_repeat_that_came_too_late_is_kept(lived_in, postgres):
    """A trace that SQLite stored twice, once it was forgotten, is there twice, if on one day."""
    installation, _ = lived_in
    url = postgres.new_database()
    columns = "trace_key, span_key, organization, batch, status, span_type, agent, environment, occurred_at_ms"
    columns += ", trace_id, span_id, log, item"
    again = f"insert into traces (id, bucket, {columns}) select 99999, 6, {columns} from traces where id = 7"  # noqa: S608
    installation.rows(again)

    copied = run("copy", "--from", str(installation.data_dir), environment=on_postgres(installation, url))

    assert copied.returncode == 0, copied.stderr
    assert "502 traces" in copied.stdout


def test_a_difference_leaves_nothing(lived_in, postgres):
    """A trace whose batch is missing cannot be copied: the command says so, and the database stays empty."""
    installation, _ = lived_in
    url = postgres.new_database()
    installation.tamper("update traces set batch = 4711 where id = 3")

    failed = run("copy", "--from", str(installation.data_dir), environment=on_postgres(installation, url))

    assert failed.returncode == 1
    assert "traces differs" in failed.stderr
    installation.environment = on_postgres(installation, url)
    assert installation.rows("select count(*) from organizations") == [(0,)]


def test_what_is_in_use_is_not_copied(lived_in, postgres):
    """While a server uses the data directory the command refuses."""
    installation, _ = lived_in
    environment = on_postgres(installation, postgres.new_database())
    with running(installation.serve("--no-worker")):
        failed = run("copy", "--from", str(installation.data_dir), environment=environment)

    assert failed.returncode == 1
    assert "Stop it first" in failed.stderr


def test_a_target_is_needed(tmp_path):
    """Without an address the command says how to give one."""
    assert_failed(run("copy", "--from", str(tmp_path)), "BAD_SETTING", "EXECLAVE_SERVER_DATABASE_URL")
