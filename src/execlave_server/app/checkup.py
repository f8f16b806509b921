"""An installation brought to the doctor: opened whether or not its keys are in order, with its files."""

import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from execlave_server.actions.doctor.examine import Patient, ReportProgress, examine
from execlave_server.actions.doctor.findings import Report
from execlave_server.actions.doctor.machine import FileFacts, MachineFacts
from execlave_server.app.database import StoreRole, open_store
from execlave_server.app.key_file import key_file, open_vault
from execlave_server.clock import Clock
from execlave_server.errors import SecretError
from execlave_server.settings import SETTINGS_FILE, Settings
from execlave_server.vault.envelope import Vault


async def examine_installation(
    settings: Settings, clock: Clock, *, organization_id: str | None, deep: bool, progress: ReportProgress
) -> Report:
    """What is wrong with an installation, while it runs. Raises DataDirError when there is none."""
    store = await open_store(settings, clock, StoreRole.COMMAND)
    try:
        vault, key_error = _open_vault(settings)
        patient = Patient(store, vault, clock, _machine_facts(settings, key_error))
        return await examine(patient, organization_id=organization_id, deep=deep, progress=progress)
    finally:
        await store.close()


def _open_vault(settings: Settings) -> tuple[Vault | None, str | None]:
    try:
        return open_vault(settings), None
    except SecretError as error:
        return None, error.message


def _machine_facts(settings: Settings, key_error: str | None) -> MachineFacts:
    data_dir, key_path, database = settings.data_dir, key_file(settings), settings.database
    log = database.with_name(database.name + "-wal")
    files = [data_dir, key_path, data_dir / SETTINGS_FILE, database, log]
    return MachineFacts(
        data_dir=data_dir,
        key_file=key_path,
        key_inside=key_path.resolve().is_relative_to(data_dir.resolve()),
        key_error=key_error,
        secret_files=list(_modes(files)),
        free_bytes=shutil.disk_usage(data_dir).free,
        wal_bytes=log.stat().st_size if log.exists() else 0,
    )


def _modes(paths: Iterable[Path]) -> Iterator[FileFacts]:
    for path in paths:
        with suppress(FileNotFoundError):
            yield FileFacts(path, stat.S_IMODE(path.stat().st_mode))
