"""Signed heads: how far a chain is, for a place that whoever runs the server cannot change."""

import os
from pathlib import Path

from execlave_server.actions.services import Services
from execlave_server.audit.head import SignedHead, head_line, sign_head
from execlave_server.errors import SettingsError
from execlave_server.model.organizations import Organization
from execlave_server.model.secret import Secret
from execlave_server.store.chains import head_from
from execlave_server.store.protocol import Call, Write
from execlave_server.vault.signing_key import SigningKey

SIGNING_KEY = "audit_signing_key"  # among the sealed secrets
_BOUND_TO = "installation/auditSigningKey"


async def open_signing_key(services: Services) -> SigningKey:
    """The key that signs heads, made when it is first asked for. Raises SecretError."""
    for _ in range(2):
        rows = await services.store.rows("find_secret", {"name": SIGNING_KEY})
        if rows and isinstance(rows[0][0], bytes):
            return SigningKey(services.vault.open(rows[0][0], bound_to=_BOUND_TO))
        sealed = services.vault.seal(Secret(services.clock.token()), bound_to=_BOUND_TO)
        new = Call("insert_secret_once", {"name": SIGNING_KEY, "sealed": sealed})
        await services.store.commit(Write(calls=[new]))  # where another process was first, its key stays
    raise AssertionError("a secret that was committed is not there")


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
