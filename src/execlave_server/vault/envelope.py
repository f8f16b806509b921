from tink import TinkError, aead

from execlave_server.errors import SecretError
from execlave_server.model.secret import Secret


class Vault:
    """Seals and opens secrets. What is sealed for one purpose does not open for another."""

    def __init__(self, key_encryption_key: aead.Aead) -> None:
        self._envelope = aead.KmsEnvelopeAead(aead.aead_key_templates.AES256_GCM, key_encryption_key)

    def seal(self, secret: Secret, *, bound_to: str) -> bytes:
        """Encrypt under a fresh data key; `bound_to` names the only place where it may be opened."""
        sealed: bytes = self._envelope.encrypt(secret.reveal().encode(), bound_to.encode())
        return sealed

    def open(self, sealed: bytes, *, bound_to: str) -> Secret:
        """Raises SecretError when the key-encryption key is another one, or the secret belongs elsewhere."""
        try:
            return Secret(self._envelope.decrypt(sealed, bound_to.encode()).decode())
        except TinkError as error:
            raise SecretError(
                f"The secret of {bound_to} cannot be opened: it was sealed under another key-encryption key, or "
                "moved here from another place. Restore the right key file, or enter the secret anew."
            ) from error


def api_key_of(organization_id: str, destination_id: str) -> str:
    """What a destination's API key is bound to."""
    return f"{organization_id}/{destination_id}/apiKey"
