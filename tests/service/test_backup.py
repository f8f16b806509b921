"""Backup and restore as an operator meets them: beside a running server, after its death, on another machine."""

import copy
import itertools
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest
from harness import Installation, Platform, assert_failed, run, running, start_platform, wait_for

from execlave_server.app import backups
from execlave_server.clock import SystemClock
from execlave_server.errors import BackupError
from execlave_server.settings import Settings
from tampering import without_triggers

TRACES_PER_REQUEST = 20


def restored_from(installation: Installation, backup: Path, folder: Path) -> Installation:
    """An installation on a data directory restored from a backup, with a copy of the key-encryption key."""
    twin = copy.copy(installation)
    twin.folder, twin.data_dir = folder, folder / "restored"
    twin.environment = {**installation.environment, "EXECLAVE_SERVER_DATA_DIR": str(twin.data_dir)}
    shutil.copy(installation.data_dir.with_name("data.kek"), folder / "restored.kek")
    ran = twin.run("restore", "--from", str(backup), "--data-dir", str(twin.data_dir))
    assert ran.returncode == 0, ran.stderr
    return twin


def settings_for(installation: Installation, data_dir: Path) -> Settings:
    """Settings of a new data directory under the same key-encryption key."""
    return Settings(data_dir=data_dir, kek=f"file:{installation.data_dir.with_name('data.kek')}")


def ignore(_what: str, _done: int, _total: int | None) -> None:
    """Progress that nobody looks at."""


class Producer:
    """Somebody who sends traces until told to stop; `answered` has the ids that were answered 2xx."""

    def __init__(self, platform: Platform) -> None:
        self._agent = platform.server.agent
        self.answered: list[str] = []
        self.stopping = threading.Event()

    @contextmanager
    def producing(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self.stopping.set()
            thread.join()

    def _run(self) -> None:
        for request in itertools.count():
            if self.stopping.is_set():
                return
            ids = [f"live-{request}-{number}" for number in range(TRACES_PER_REQUEST)]
            try:
                answer = self._agent.ingest(*({"traceId": each, "status": "success"} for each in ids))
            except OSError:
                return  # the server is dead
            assert answer.status == 202, answer.body
            self.answered += ids


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """A platform of the test's own, to be killed."""
    with start_platform(tmp_path) as started:
        yield started


class TestLive:
    def test_a_backup_made_while_everything_works_is_a_whole_installation(self, platform, tmp_path):
        """Restored after a SIGKILL it has all that was acknowledged before it began, its sums hold, delivery goes on.

        What was on its way to Datadog when the backup was made is sent again, under the same delivery key.
        """
        backup, folder = tmp_path / "backup.db", tmp_path / "elsewhere"
        folder.mkdir()
        producer = Producer(platform)
        with producer.producing():
            wait_for(lambda: len(producer.answered) >= 600, "some traces")
            platform.sandbox.fail({"times": None, "status": 503})
            wait_for(lambda: platform.sandbox.stats()["faults_applied"], "a delivery that fails")
            before = list(producer.answered)
            made = platform.installation.run_json("backup", "--to", str(backup))
            wait_for(lambda: len(producer.answered) >= len(before) + 200, "traces after the backup")
            platform.server.kill_child("server-process")
            platform.server.kill()
        platform.sandbox.fail()
        delivered_before = {log["execlave"]["delivery_key"] for log in platform.sandbox.logs()}
        twin = restored_from(platform.installation, backup, folder)
        with running(twin.serve()) as server:
            committed = server.wait_until_delivered()
            counts = server.admin.get("/api/v1/deliveries").data
            fresh = server.agent.ingest({"traceId": "fresh", "status": "success"})
            platform.sandbox.wait_for_logs(lambda log: log["execlave"]["trace_id"] == "fresh", 1)
        stored = {trace_id for (trace_id,) in twin.rows("select trace_id from traces")}
        delivered = {log["execlave"]["trace_id"] for log in platform.sandbox.logs()}

        assert set(before) <= stored
        assert made["traces"] == committed < len(producer.answered) + TRACES_PER_REQUEST
        assert [each["delivered"] for each in counts["destinations"]] == [committed]
        assert stored <= delivered
        assert fresh.status == 202
        assert delivered_before <= {log["execlave"]["delivery_key"] for log in platform.sandbox.logs()}
        assert twin.rows("select max(id) from traces")[0][0] == committed + 1

    def test_what_was_delivered_after_the_backup_is_sent_again(self, platform, tmp_path):
        """Delivery is at least once: the ledger is that of the backup, and the delivery key tells the duplicates."""
        backup, folder = tmp_path / "backup.db", tmp_path / "elsewhere"
        folder.mkdir()
        platform.sandbox.fail({"times": None, "status": 503})
        assert platform.server.agent.ingest({"traceId": "twice", "status": "success"}).status == 202
        platform.installation.run_json("backup", "--to", str(backup))
        platform.sandbox.fail()
        platform.server.wait_until_delivered()
        platform.server.stop()
        with running(restored_from(platform.installation, backup, folder).serve()) as server:
            server.wait_until_delivered()
        keys = [log["execlave"]["delivery_key"] for log in platform.sandbox.logs()]

        assert len(keys) == 2
        assert len(set(keys)) == 1


@pytest.fixture(scope="module")
def installation(tmp_path_factory) -> Installation:
    """A data directory of this module's own, with settings and a trace."""
    made = Installation(tmp_path_factory.mktemp("backup"))
    (made.data_dir / "settings.toml").write_text("retention_days = 7\n")
    with running(made.serve()) as server:
        assert server.agent.ingest({"traceId": "t1", "status": "success"}).status == 202
    return made


@pytest.fixture(scope="module")
def backup(installation) -> Path:
    """A backup of it."""
    file = installation.folder / "backup.db"
    installation.run_json("backup", "--to", str(file))
    return file


class TestBackup:
    def test_the_file_is_its_owners_and_says_what_is_not_in_it(self, installation, backup):
        """It is readable by its owner alone, holds the trace, no key-encryption key, and the command says so."""
        ran = installation.run("backup", "--to", str(installation.folder / "second.db"))
        content = backup.read_bytes()

        assert ran.returncode == 0
        assert "NOT in it" in ran.stdout
        assert str(installation.data_dir.with_name("data.kek")) in ran.stdout
        assert stat.S_IMODE(backup.stat().st_mode) == 0o600
        assert b"AesGcmKey" not in content
        assert b"t1" in content
        assert sorted(each.name for each in installation.folder.glob("*.part*")) == []

    def test_a_file_that_is_there_is_not_replaced(self, installation, backup):
        """A backup never overwrites anything."""
        before = backup.read_bytes()
        ran = installation.run("backup", "--to", str(backup))

        assert_failed(ran, "BACKUP", str(backup), "exists already")
        assert backup.read_bytes() == before

    def test_what_a_killed_one_left_is_no_hindrance(self, installation):
        """The unfinished file of a backup that was killed is begun anew by the next one."""
        part = installation.folder / "third.db.part"
        part.write_bytes(b"half a backup" * 1_000)
        installation.run_json("backup", "--to", str(installation.folder / "third.db"))

        assert not part.exists()

    def test_a_place_that_cannot_be_written_is_named(self, installation):
        """A folder that does not exist is an error that names it."""
        assert_failed(installation.run("backup", "--to", "/nowhere/backup.db"), "BACKUP", "/nowhere/backup.db")

    def test_a_damaged_database_makes_no_backup(self, tmp_path):
        """A copy that does not pass its check is not kept: the newest backup is always a good one."""
        damaged = Installation(tmp_path)
        with (damaged.data_dir / "execlave.db").open("r+b") as file:
            file.seek(20 * 4_096)
            file.write(b"\xff" * 8_192)
        ran = damaged.run("backup", "--to", str(tmp_path / "bad.db"))

        assert_failed(ran, "BACKUP", "damaged")
        assert sorted(each.name for each in tmp_path.glob("bad*")) == []


class TestRestore:
    def test_settings_come_back(self, installation, backup, tmp_path):
        """The settings file is in the backup; the data directory belongs to its owner alone."""
        twin = restored_from(installation, backup, tmp_path)

        assert (twin.data_dir / "settings.toml").read_text() == "retention_days = 7\n"
        assert stat.S_IMODE(twin.data_dir.stat().st_mode) == 0o700
        assert stat.S_IMODE((twin.data_dir / "execlave.db").stat().st_mode) == 0o600
        assert twin.rows("select trace_id from traces") == [("t1",)]
        assert twin.rows("select count(*) from sqlite_schema where name = 'backup'") == [(0,)]
        assert {each["id"] for each in twin.run_json("key", "list")} == {
            each["id"] for each in installation.run_json("key", "list")
        }

    def test_an_existing_data_directory_is_left_alone(self, installation, backup):
        """A restore never overwrites a database."""
        before = (installation.data_dir / "execlave.db").read_bytes()
        ran = installation.run("restore", "--from", str(backup))

        assert_failed(ran, "DATA_DIR", str(installation.data_dir), "already")
        assert (installation.data_dir / "execlave.db").read_bytes() == before

    def test_the_right_key_has_to_be_there(self, backup, tmp_path):
        """Without the key-encryption key, or with another one, nothing is made, and what is missing is named."""
        missing = run("restore", "--from", str(backup), "--data-dir", str(tmp_path / "new"))
        other = Installation(tmp_path)
        (tmp_path / "data.kek").rename(tmp_path / "new.kek")
        wrong = run("restore", "--from", str(backup), "--data-dir", str(tmp_path / "new"))

        assert_failed(missing, "SECRET", str(tmp_path / "new.kek"))
        assert_failed(wrong, "SECRET", "another key-encryption key")
        assert not (tmp_path / "new").exists()
        assert other.data_dir.exists()

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ("insert into migrations values (9999, 'from_the_future', 0)", "newer"),
            ("drop table backup", "was not made by"),
            ("delete from backup", "not complete"),
            ("update backup set trace_count = 7", "not the 7"),
            ("delete from traces", "its batches say 1"),
            ("delete from sealed_secrets", "not fully initialised"),
        ],
    )
    def test_a_file_that_cannot_be_trusted_is_refused(self, installation, backup, tmp_path, change, said):
        """A backup of another version, of another making, or changed since is refused, and nothing is left of it."""
        changed = tmp_path / "changed.db"
        shutil.copy(backup, changed)
        connection = apsw.Connection(str(changed))
        with without_triggers(connection):
            connection.execute(change)
        connection.close()

        with pytest.raises(BackupError, match=said):
            backups.restore(settings_for(installation, tmp_path / "new"), SystemClock(), changed, ignore)
        assert list(tmp_path.glob("new/execlave*")) == []

    def test_a_file_that_is_no_database_is_named(self, tmp_path):
        """Another file is not taken for a backup."""
        (tmp_path / "letter.txt").write_text("Dear Sir or Madam, " * 100)
        ran = run("restore", "--from", str(tmp_path / "letter.txt"), "--data-dir", str(tmp_path / "new"))

        assert_failed(ran, "BACKUP", "letter.txt")

    def test_one_of_an_older_version_is_brought_up_to_date(self, installation, backup, tmp_path):
        """What the backup's version did not have yet is there after the restore."""
        older = tmp_path / "older.db"
        shutil.copy(backup, older)
        connection = apsw.Connection(str(older))
        connection.execute("drop index reservation_unnamed")  # the newest migration makes it in place of the other
        connection.execute("create index reservation_agent on reservations (organization, agent)")
        connection.execute("delete from migrations where number = (select max(number) from migrations)")
        connection.close()
        settings = settings_for(installation, tmp_path / "new")
        backups.restore(settings, SystemClock(), older, ignore)
        connection = apsw.Connection(str(settings.database))
        of_reservations = connection.execute("select name from sqlite_schema where tbl_name = 'reservations'")
        found = {name for (name,) in of_reservations}
        connection.close()

        assert "reservation_unnamed" in found
        assert "reservation_agent" not in found


class TestPostgres:
    def test_the_database_has_better_means(self, tmp_path):
        """On PostgreSQL the commands say what to use instead."""
        settings = Settings(data_dir=tmp_path, database_url="postgresql://db.example/execlave")

        with pytest.raises(BackupError, match="pg_dump"):
            backups.back_up(settings, SystemClock(), tmp_path / "backup.db", ignore)
        with pytest.raises(BackupError, match="pg_restore"):
            backups.restore(settings, SystemClock(), tmp_path / "backup.db", ignore)
