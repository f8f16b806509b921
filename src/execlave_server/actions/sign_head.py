"""Signed heads: how far a chain is, for a place that whoever runs the server cannot change."""

import os
from contextlib import suppress
from pathlib import Path

from execlave_server.actions.rotate_secrets import sealed_in_time
from execlave_server.actions.services import Services
from execlave_server.audit.head import SignedHead, head_line, sign_head
from execlave_server.errors import SettingsError
from execlave_server.model.organizations import Organization
from execlave_server.model.secret import Secret
from execlave_server.store.chains import head_from
from execlave_server.store.protocol import Call, StaleError, Write
from execlave_server.vault.signing_key import SigningKey

SIGNING_KEY = "audit_signing_key"  # among the sealed secrets
_BOUND_TO = "installation/auditSigningKey"


async def open_signing_key(services: Services) -> SigningKey:
    """The key that signs heads, made when it is first asked for. Raises SecretError."""
    while (sealed := await _sealed_key(services)) is None:
        mine = services.vault.seal(Secret(services.clock.token()), bound_to=_BOUND_TO)
        new = Call(
            "insert_secret_once", {"name": SIGNING_KEY, "sealed": mine}
        )  # where another was first, its key stays
        with suppress(StaleError):  # the key-encryption key was replaced at this moment; seal under the new one
            await services.store.commit(Write(checks=[sealed_in_time(mine)], calls=[new]))
    return SigningKey(services.vault.open(sealed, bound_to=_BOUND_TO))


async def _sealed_key(services: Services) -> bytes | None:
    rows = await services.store.rows("find_secret", {"name": SIGNING_KEY})
    sealed = rows[0][0] if rows else None
    return sealed if isinstance(sealed, bytes) else None


async def sign_present_head(services: Services, organization: Organization) -> SignedHead | None:
    """The head of an organization's chain as it is now, signed; None while the chain is empty."""
    [row] = await services.store.rows("audit_head", {"organization": organization.number})
    head = head_from(row)
    if head.seq == 0:
        return None
    key = await open_signing_key(services)
    return sign_head(head, services.clock.now_us(), key.public, key.sign)


def append_heads(path: Path, heads: list[SignedHead]) -> None:
    """Append heads to a file, each a line, on disk at the return. Raises SettingsError where that cannot be."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        with os.fdopen(descriptor, "ab") as file:
            file.write(b"".join(head_line(head) for head in heads))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise SettingsError(
            f"The head file {path} cannot be written: {error.strerror}. Check EXECLAVE_SERVER_AUDIT_HEAD_FILE."
        ) from error


class HeadKeeper:
    """Appends the heads that moved since it last did so."""

    def __init__(self, services: Services, path: Path) -> None:
        self._services = services
        self._path = path
        self._written: dict[str, int] = {}

    async def write(self) -> int:
        """Sign and append; how many. Raises SettingsError, UnavailableError, SecretError."""
        heads = []
        for organization in await self._services.store.find(Organization, "list_organizations"):
            head = await sign_present_head(self._services, organization)
            if head is not None and self._written.get(organization.id) != head.seq:
                heads.append(head)
        if heads:
            append_heads(self._path, heads)
        self._written |= {head.organization: head.seq for head in heads}
        return len(heads)
