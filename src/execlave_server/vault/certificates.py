"""Certificates of approvals: JWS under an Ed25519 key of this installation."""

import json

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from msgspec import Struct

from execlave_server.errors import SecretError
from execlave_server.model.secret import Secret

ISSUER = "execlave-server"
_ALGORITHM = "Ed25519"
_TYPE = "execlave-approval+jws"


class CertificateClaims(Struct, frozen=True):
    """What a certificate says: this action of this agent was approved by this person until then (epoch seconds)."""

    act: str  # SHA-256 of the canonical action context
    agent: str
    approval: str
    by: str
    exp: int
    iat: int
    iss: str
    jti: str
    org: str


def new_signing_key() -> Secret:
    """A new private key, as a JWK."""
    return Secret(json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=True)))


class CertificateSigner:
    """Signs and opens certificates with one key. Raises SecretError when it is no such key."""

    def __init__(self, key: Secret) -> None:
        try:
            self._key = OKPKey.import_key(json.loads(key.reveal()))
        except (ValueError, JoseError) as error:
            raise SecretError("The key that signs approval certificates is not readable.") from error

    def sign(self, claims: CertificateClaims) -> str:
        """The certificate."""
        header = {"alg": _ALGORITHM, "typ": _TYPE}
        return jws.serialize_compact(header, msgspec.json.encode(claims), self._key, algorithms=[_ALGORITHM])

    def open(self, certificate: str) -> CertificateClaims | None:
        """What it says; None for one that this key did not sign."""
        try:
            opened = jws.deserialize_compact(certificate, self._key, algorithms=[_ALGORITHM])
            return msgspec.json.decode(opened.payload, type=CertificateClaims)
        except (JoseError, ValueError, msgspec.MsgspecError):
            return None
