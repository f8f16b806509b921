"""The key-encryption key as a file: a Tink keyset, readable by its owner alone, kept apart from the data."""

import os
import stat
from pathlib import Path

import tink
from tink import aead, secret_key_access

from execlave_server.errors import SecretError
from execlave_server.vault.keysets import Keyset, read_keyset

_OWNER_ONLY = 0o600
_TEMPORARY = ".new"  # beside the key file while it is being replaced


def default_key_file(data_dir: Path) -> Path:
    """Beside the data directory, not inside it: a copy of the data alone opens nothing."""
    absolute = data_dir.absolute()
    return absolute.with_name(absolute.name + ".kek")


def create_key_file(path: Path) -> None:
    """Make a new key-encryption key (AES-256-GCM). Raises SecretError when there is a file already."""
    keyset = _new_keyset()
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


class KeyFile(aead.Aead):  # type: ignore[misc]  # Tink is published without types
    """Wraps and unwraps with the keys of a file that `secrets rotate` may replace at any moment.

    Before it wraps, it looks whether the file is another one; when it cannot unwrap, likewise. The keys it had before
    the last change still unwrap: what was read from the database before a rotation may be opened after it.
    """

    def __init__(self, path: Path) -> None:
        aead.register()
        self._path = path
        self._seen, self._keyset, self._present = self._load()
        self._previous = self._present

    @property
    def keyset(self) -> Keyset:
        """Which keys the file holds, as it was last read."""
        return self._keyset

    def encrypt(self, plaintext: bytes, associated_data: bytes) -> bytes:
        """Wrap under the file's present primary key. Raises SecretError when the file cannot be read any more."""
        self.refresh()
        wrapped: bytes = self._present.encrypt(plaintext, associated_data)
        return wrapped

    def decrypt(self, ciphertext: bytes, associated_data: bytes) -> bytes:
        """Unwrap. Raises TinkError when none of the keys does, SecretError when the file cannot be read any more."""
        try:
            return self._unwrap(ciphertext, associated_data)
        except tink.TinkError:
            self.refresh()
            return self._unwrap(ciphertext, associated_data)

    def refresh(self) -> None:
        """Read the file again if it was replaced. Raises SecretError as `open_key_file` does."""
        if self._identity() != self._seen:
            previous = self._present
            self._seen, self._keyset, self._present = self._load()
            self._previous = previous

    def replace(self, keyset: Keyset) -> None:
        """Put another keyset in the file's place: whole or not at all, on disk when it returns. Raises SecretError."""
        path = self._path.resolve()  # the file behind a link is replaced, not the link
        temporary = path.with_name(path.name + _TEMPORARY)
        try:
            owner = path.stat()
            temporary.unlink(missing_ok=True)  # of a rotation that was killed
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
            with os.fdopen(descriptor, "w") as file:
                file.write(keyset.text)
                file.flush()
                if (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(file.fileno(), owner.st_uid, owner.st_gid)  # root rotates for the server's user
                os.fsync(file.fileno())
            temporary.replace(path)
            _sync_folder(path.parent)
        except OSError as error:
            raise SecretError(
                f"The key-encryption key {path} cannot be replaced: {error.strerror}. Its folder must be writable, "
                "and the file itself no mount of its own."
            ) from error
        self.refresh()

    def _unwrap(self, ciphertext: bytes, associated_data: bytes) -> bytes:
        try:
            plaintext: bytes = self._present.decrypt(ciphertext, associated_data)
        except tink.TinkError:
            plaintext = self._previous.decrypt(ciphertext, associated_data)
        return plaintext

    def _identity(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()
        except OSError as error:
            raise _unreadable(self._path, error) from error
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _load(self) -> tuple[tuple[int, int, int], Keyset, aead.Aead]:
        """The file's identity, taken before it is read: a change in between is seen the next time."""
        path = self._path
        try:
            identity = self._identity()
            mode = stat.S_IMODE(path.stat().st_mode)
            text = path.read_text()
        except OSError as error:
            raise _unreadable(path, error) from error
        except UnicodeDecodeError:
            text = ""  # no keyset either
        if mode & 0o077:
            raise SecretError(
                f"The key-encryption key {path} is readable by others (mode {mode:04o}). Run: chmod 600 {path}"
            )
        try:
            primitive = tink.json_proto_keyset_format.parse(text, secret_key_access.TOKEN).primitive(aead.Aead)
            return identity, read_keyset(text), primitive
        except (tink.TinkError, ValueError) as error:
            raise SecretError(
                f"{path} is not a Tink keyset. Restore the key-encryption key from its backup."
            ) from error


def open_key_file(path: Path) -> KeyFile:
    """The key-encryption key as Tink's primitive.

    Raises SecretError when the file is missing, readable by others, or not a keyset.
    """
    return KeyFile(path)


def with_new_primary(keyset: Keyset) -> Keyset:
    """The keyset with one more key, under which everything is wrapped from now on."""
    return keyset.with_primary(read_keyset(_new_keyset()))


def _new_keyset() -> str:
    aead.register()
    handle = tink.new_keyset_handle(aead.aead_key_templates.AES256_GCM)
    text: str = tink.json_proto_keyset_format.serialize(handle, secret_key_access.TOKEN)
    return text


def _unreadable(path: Path, error: OSError) -> SecretError:
    if isinstance(error, FileNotFoundError):
        return SecretError(
            f"The key-encryption key {path} is missing. Without it the sealed Datadog keys and the API keys cannot "
            "be used. Restore the file, or name it with EXECLAVE_SERVER_KEK=file:/path."
        )
    return SecretError(f"The key-encryption key {path} cannot be read: {error.strerror}.")


def _sync_folder(folder: Path) -> None:
    """Put a rename on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
