"""The installation's signing key: plain Ed25519, kept as its 32-byte seed among the sealed secrets."""

import base64

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from execlave_server.model.secret import Secret


class SigningKey:
    """Signs, and checks its own signatures."""

    def __init__(self, seed: Secret) -> None:
        """`seed` is 256 random bits as `Clock.token` writes them."""
        self._key = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(seed.reveal() + "="))
        self._public = self._key.public_key()

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes."""
        return self._public.public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """The signature of a message, 64 bytes."""
        return self._key.sign(message)

    def check(self, message: bytes, signature: bytes) -> bool:
        """Whether this key has signed the message."""
        try:
            self._public.verify(signature, message)
        except InvalidSignature:
            return False
        return True
