"""The key that signs approval certificates: made when it is first needed, by whichever process is first."""

from execlave_server.actions.services import Services
from execlave_server.store.protocol import Call, Write
from execlave_server.vault.certificates import CertificateSigner, new_signing_key

SIGNING_KEY = "certificate_signing_key"
_BOUND_TO = "installation/certificateSigningKey"


async def open_signer(services: Services) -> CertificateSigner:
    """The signer with this installation's key. Raises SecretError when its seal does not open."""
    sealed = await _sealed_key(services)
    if sealed is None:
        mine = services.vault.seal(new_signing_key(), bound_to=_BOUND_TO)
        await services.store.commit(Write(calls=[Call("insert_secret_once", {"name": SIGNING_KEY, "sealed": mine})]))
        sealed = await _sealed_key(services)  # another process may have been first
        assert sealed is not None
    return CertificateSigner(services.vault.open(sealed, bound_to=_BOUND_TO))


async def _sealed_key(services: Services) -> bytes | None:
    rows = await services.store.rows("find_secret", {"name": SIGNING_KEY})
    sealed = rows[0][0] if rows else None
    return sealed if isinstance(sealed, bytes) else None
