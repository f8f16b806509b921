"""The key that signs approval certificates: made when it is first needed, by whichever process is first."""

from contextlib import suppress

from execlave_server.actions.rotate_secrets import sealed_in_time
from execlave_server.actions.services import Services
from execlave_server.store.protocol import Call, StaleError, Write
from execlave_server.vault.certificates import CertificateSigner, new_signing_key

SIGNING_KEY = "certificate_signing_key"
SIGNING_KEY_BOUND_TO = "installation/certificateSigningKey"


async def open_signer(services: Services) -> CertificateSigner:
    """The signer with this installation's key. Raises SecretError when its seal does not open."""
    sealed = await _sealed_key(services)
    while sealed is None:
        mine = services.vault.seal(new_signing_key(), bound_to=SIGNING_KEY_BOUND_TO)
        put = Call("insert_secret_once", {"name": SIGNING_KEY, "sealed": mine})
        with suppress(StaleError):  # the key-encryption key was replaced at this moment; seal under the new one
            await services.store.commit(Write(checks=[sealed_in_time(mine)], calls=[put]))
        sealed = await _sealed_key(services)  # another process may have been first
    return CertificateSigner(services.vault.open(sealed, bound_to=SIGNING_KEY_BOUND_TO))


async def _sealed_key(services: Services) -> bytes | None:
    rows = await services.store.rows("find_secret", {"name": SIGNING_KEY})
    sealed = rows[0][0] if rows else None
    return sealed if isinstance(sealed, bytes) else None
