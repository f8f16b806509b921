from tink import TinkError, aead

from execlave_server.errors import SecretError
from execlave_server.model.secret import Secret

_LENGTH_BYTES = 4  # before the wrapped data key, see Tink's KmsEnvelopeAead
_KEY_ID = slice(5, 9)  # a wrapped data key begins with a version byte and its key's id, see Tink's wire format


class Vault:
    """Seals and opens secrets. What is sealed for one purpose does not open for another."""

    def __init__(self, key_encryption_key: aead.Aead) -> None:
        self._key_encryption_key = key_encryption_key
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

    def rewrap(self, sealed: bytes) -> bytes:
        """The same secret with its data key wrapped under the present primary key; it stays sealed on the way.

        Raises SecretError when none of the keys unwraps it.
        """
        end = _LENGTH_BYTES + int.from_bytes(sealed[:_LENGTH_BYTES], "big")
        try:
            data_key = self._key_encryption_key.decrypt(sealed[_LENGTH_BYTES:end], b"")
        except TinkError as error:
            raise SecretError("A sealed secret was wrapped under a key that the key file does not hold.") from error
        wrapped: bytes = self._key_encryption_key.encrypt(data_key, b"")
        return len(wrapped).to_bytes(_LENGTH_BYTES, "big") + wrapped + sealed[end:]


def key_id_of(sealed: bytes) -> int:
    """The id of the key-encryption key under which a sealed secret's data key is wrapped."""
    return int.from_bytes(sealed[_KEY_ID], "big")


def api_key_of(organization_id: str, destination_id: str) -> str:
    """What a destination's API key is bound to."""
    return f"{organization_id}/{destination_id}/apiKey"
