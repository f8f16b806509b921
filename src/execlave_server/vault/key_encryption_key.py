"""The key-encryption key as a file: a Tink keyset, readable by its owner alone, kept apart from the data."""

import os
import stat
from pathlib import Path

import tink
from tink import aead, secret_key_access

from execlave_server.errors import SecretError

_OWNER_ONLY = 0o600


def default_key_file(data_dir: Path) -> Path:
    """Beside the data directory, not inside it: a copy of the data alone opens nothing."""
    absolute = data_dir.absolute()
    return absolute.with_name(absolute.name + ".kek")


def create_key_file(path: Path) -> None:
    """Make a new key-encryption key (AES-256-GCM). Raises SecretError when there is a file already."""
    aead.register()
    keyset = tink.json_proto_keyset_format.serialize(
        tink.new_keyset_handle(aead.aead_key_templates.AES256_GCM), secret_key_access.TOKEN
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        with os.fdopen(descriptor, "w") as file:
            file.write(keyset)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        if not path.exists():
            raise SecretError(f"The key-encryption key {path} cannot be written: its folder is a file.") from error
        raise SecretError(
            f"A key-encryption key exists already at {path}. It may open another data directory, so it is not "
            "replaced. Move it away, or name another file with EXECLAVE_SERVER_KEK=file:/path."
        ) from error
    except OSError as error:
        raise SecretError(f"The key-encryption key {path} cannot be written: {error.strerror}.") from error


def open_key_file(path: Path) -> aead.Aead:
    """The key-encryption key as Tink's primitive.

    Raises SecretError when the file is missing, readable by others, or not a keyset.
    """
    aead.register()
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text()
    except FileNotFoundError as error:
        raise SecretError(
            f"The key-encryption key {path} is missing. Without it the sealed Datadog keys and the API keys cannot "
            "be used. Restore the file, or name it with EXECLAVE_SERVER_KEK=file:/path."
        ) from error
    except OSError as error:
        raise SecretError(f"The key-encryption key {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        text = ""  # no keyset either
    if mode & 0o077:
        raise SecretError(
            f"The key-encryption key {path} is readable by others (mode {mode:04o}). Run: chmod 600 {path}"
        )
    try:
        return tink.json_proto_keyset_format.parse(text, secret_key_access.TOKEN).primitive(aead.Aead)
    except (tink.TinkError, ValueError) as error:
        raise SecretError(f"{path} is not a Tink keyset. Restore the key-encryption key from its backup.") from error
