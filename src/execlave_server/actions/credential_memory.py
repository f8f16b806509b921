"""What credentials were found to say, remembered by their hash; the credentials themselves are kept nowhere."""

from collections.abc import Iterable, Mapping
from hashlib import sha256

from msgspec import Struct

REMEMBERED_MAX = 10_000  # credentials verified lately, by their hash: each stamps all traces of fourteen minutes


class AgentClaims(Struct, frozen=True):
    """What a credential says. Names as RFC 7519 has them; `sub` is the agent's UUID, times are epoch seconds."""

    sub: str
    org: str
    exp: int


Claims = Mapping[str, AgentClaims | None]
"""What each credential says, by its text; None for one that this installation did not sign."""


class CredentialMemory:
    """What was verified lately, by hash, so that the hot path reads no signature twice. Holds no credential."""

    def __init__(self) -> None:
        self._claims: dict[bytes, AgentClaims | None] = {}

    def known(self, credentials: Iterable[str]) -> dict[str, AgentClaims | None]:
        """Those of these that are remembered."""
        hashed = {text: sha256(text.encode(errors="replace")).digest() for text in credentials}
        return {text: self._claims[digest] for text, digest in hashed.items() if digest in self._claims}

    def keep(self, claims: Claims) -> None:
        """Remember these."""
        if len(self._claims) + len(claims) > REMEMBERED_MAX:
            self._claims.clear()
        for text, said in claims.items():
            self._claims[sha256(text.encode(errors="replace")).digest()] = said
