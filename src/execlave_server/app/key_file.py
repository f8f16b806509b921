"""Where an installation's key-encryption key is, and the vault under it."""

from pathlib import Path

from execlave_server.app.database import require_database
from execlave_server.errors import SecretError
from execlave_server.settings import Settings
from execlave_server.vault.envelope import Vault
from execlave_server.vault.key_encryption_key import default_key_file, open_key_file


def key_file(settings: Settings) -> Path:
    """Where the key-encryption key is."""
    return Path(settings.kek.removeprefix("file:")) if settings.kek else default_key_file(settings.data_dir)


def open_vault(settings: Settings) -> Vault:
    """The vault under this installation's key-encryption key. Raises DataDirError, SecretError."""
    require_database(settings)
    path = key_file(settings)
    if path.resolve().is_relative_to(settings.data_dir.resolve()) and not settings.kek:
        raise SecretError(f"The key-encryption key {path} is inside the data directory. Keep it apart.")
    return Vault(open_key_file(path))
