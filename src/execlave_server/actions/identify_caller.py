"""Who calls: from the API key a request presents to the key as issued."""

import hmac
import re

from execlave_server.clock import Clock
from execlave_server.errors import BadSignatureError, RevokedKeyError, UnauthorizedError
from execlave_server.model.keys import KEY_PATTERN, hash_key, signature_of
from execlave_server.model.organizations import ApiKey
from execlave_server.model.secret import Secret
from execlave_server.store.protocol import Store, find_one

KEY_MEMORY_US = 1_000_000  # a key is read again after a second; what governs checks it again inside its commit
KEYS_REMEMBERED = 10_000
_TIMESTAMP = re.compile(r"[0-9]{1,15}")  # epoch seconds
SIGNATURE_WINDOW_S = 300  # either side of now, as the platform's webhooks allow


class KeyRing:
    """Finds API keys by their keyed hash, and remembers them for a second."""

    def __init__(self, store: Store, pepper: Secret, clock: Clock) -> None:
        self._store = store
        self._pepper = pepper
        self._clock = clock
        self._remembered: dict[bytes, tuple[int, ApiKey]] = {}
        self._used: set[str] = set()

    def hash(self, presented: str) -> bytes:
        """The keyed hash under which a key is stored."""
        return hash_key(self._pepper.reveal().encode(), presented)

    async def identify(self, presented: str | None, *, fresh: bool = False) -> ApiKey:
        """The key as issued, revoked or not.

        Raises UnauthorizedError for a key that this server never issued.
        """
        if presented is None:
            raise UnauthorizedError(
                "This request carries no API key. Send it as `Authorization: Bearer <key>` or `X-API-Key: <key>`."
            )
        if not KEY_PATTERN.fullmatch(presented):
            raise UnauthorizedError("This is not an Execlave API key: those begin exe_prod_, exe_stg_ or exe_dev_.")
        hashed = self.hash(presented)
        now_us = self._clock.elapsed_us()
        remembered = self._remembered.get(hashed)
        if remembered and not fresh and now_us - remembered[0] < KEY_MEMORY_US:
            self._used.add(remembered[1].id)
            return remembered[1]
        key = await find_one(self._store, ApiKey, "find_api_key", {"hash": hashed})
        if key is None:
            raise UnauthorizedError("This API key was not issued by this server. Create one with `key create`.")
        if len(self._remembered) >= KEYS_REMEMBERED:
            self._remembered.clear()
        self._remembered[hashed] = (now_us, key)
        self._used.add(key.id)
        return key

    def take_used(self) -> set[str]:
        """The ids of the keys that were presented since this was asked last."""
        used, self._used = self._used, set()
        return used


def refuse_revoked(key: ApiKey) -> None:
    """Raise RevokedKeyError when the key was revoked."""
    if key.revoked_at_us is not None:
        raise RevokedKeyError(f"The API key ending in {key.hint} was revoked. Ask an administrator for a new one.")


def verify_signature(presented: str, timestamp: str | None, signature: str | None, body: bytes, now_us: int) -> None:
    """Verify the SDK's optional request signature over the raw body.

    Raises BadSignatureError when it is wrong, or made more than five minutes from now.
    """
    if signature is None:
        return
    if (
        timestamp is None
        or not _TIMESTAMP.fullmatch(timestamp)
        or abs(now_us / 1e6 - int(timestamp)) > SIGNATURE_WINDOW_S
    ):
        raise BadSignatureError(
            "The request's X-Execlave-Timestamp is missing or more than five minutes off. Check this machine's clock."
        )
    if not hmac.compare_digest(signature_of(presented, timestamp, body).encode(), signature.encode()):
        raise BadSignatureError("The request's X-Execlave-Signature does not match its body and API key.")
