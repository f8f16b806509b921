"""The installation's own signing key: Ed25519, made on first use, sealed in the vault like every other secret."""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from execlave_server.actions.services import Services
from execlave_server.errors import SecretError
from execlave_server.model.secret import Secret
from execlave_server.store.protocol import Call, Write

SIGNING_KEY = "signing_key"  # its name among the sealed secrets
_BOUND_TO = "installation/signingKey"
_ALGORITHM: Literal["Ed25519"] = "Ed25519"  # RFC 9864's name for EdDSA over this curve
TOKEN_CHARS_MAX = 4_096  # ours have about 600


class TokenKind(StrEnum):
    """What a token is for, in its `typ` header: one made for one purpose is never taken for another."""

    AGENT_CREDENTIAL = "execlave-agent+jwt"
    APPROVAL_CERTIFICATE = "execlave-approval+jwt"


class BadTokenError(Exception):
    """The text is no token of this installation and this kind. Says why, for the log; never shown to a client."""


class SigningKey:
    """Signs and reads compact JWS. `kid` is the key's RFC 7638 thumbprint."""

    def __init__(self, key: OKPKey) -> None:
        self._key = key
        self.kid = key.thumbprint()

    def sign(self, kind: TokenKind, claims: Mapping[str, Any]) -> str:
        """The claims as a token of this kind."""
        header = {"alg": _ALGORITHM, "typ": kind.value, "kid": self.kid}
        return jwt.encode(header, dict(claims), self._key, algorithms=[_ALGORITHM])

    def read(self, kind: TokenKind, token: str) -> dict[str, Any]:
        """The claims of a token, its signature verified; times are the caller's to judge. Raises BadTokenError."""
        if len(token) > TOKEN_CHARS_MAX:
            raise BadTokenError("too long")
        try:
            read = jwt.decode(token, self._key, algorithms=[_ALGORITHM])
        except (JoseError, ValueError) as error:
            raise BadTokenError(type(error).__name__) from error
        if read.header.get("typ") != kind or read.header.get("kid") != self.kid:
            raise BadTokenError("made for another purpose, or under another key")
        return dict(read.claims)

    def public(self) -> dict[str, Any]:
        """The public half as a JWK, for whoever verifies elsewhere."""
        return {**self._key.as_dict(private=False), "kid": self.kid, "alg": _ALGORITHM, "use": "sig"}


async def signing_key(services: Services) -> SigningKey:
    """This installation's key, made now if there is none; of several processes that make one, one is kept.

    Raises SecretError when it cannot be opened, UnavailableError.
    """
    found = await _find(services)
    if found is None:
        made = json.dumps(OKPKey.generate_key(_ALGORITHM).as_dict(private=True))
        sealed = services.vault.seal(Secret(made), bound_to=_BOUND_TO)
        await services.store.commit(Write(calls=[Call("keep_secret", {"name": SIGNING_KEY, "sealed": sealed})]))
        found = await _find(services)
    assert found is not None
    return found


async def _find(services: Services) -> SigningKey | None:
    rows = await services.store.rows("find_secret", {"name": SIGNING_KEY})
    if not rows:
        return None
    assert isinstance(rows[0][0], bytes)
    opened = services.vault.open(rows[0][0], bound_to=_BOUND_TO)
    try:
        return SigningKey(OKPKey.import_key(msgspec.json.decode(opened.reveal())))
    except (JoseError, ValueError) as error:
        raise SecretError(
            "The installation's signing key is not readable. Restore the database from its backup, or remove the "
            f"sealed secret {SIGNING_KEY!r} to have a new one made; what the old one signed then no longer verifies."
        ) from error
