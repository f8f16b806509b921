"""Passwords as they are kept: argon2id, slow on purpose, on two threads of their own."""

import asyncio
import unicodedata
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from execlave_server.model.secret import Secret

PASSWORD_THREADS = 2  # each needs 19 MiB for a moment; more at once would only slow what else the server does
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)  # KiB; what OWASP advises
_THREADS = ThreadPoolExecutor(PASSWORD_THREADS, thread_name_prefix="passwords")

DECOY = "$argon2id$v=19$m=19456,t=2,p=1$6ZnZ/XnFchhMah5dwmxgjw$K+ndLDD7xM24yqGfUzZDEvexFcoAG7KH89a5OS6bClA"
"""The hash of nobody's password: what is checked for an email that is not known takes as long as one that is."""


async def hash_password(password: Secret) -> str:
    """The hash to keep, with its salt and parameters in it."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, _hash, password)


async def is_password(password_hash: str, password: Secret) -> bool:
    """True when the hash was made of this password."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, _verify, password_hash, password)


def _hash(password: Secret) -> str:
    return _HASHER.hash(_typed(password))


def _verify(password_hash: str, password: Secret) -> bool:
    try:
        return _HASHER.verify(password_hash, _typed(password))
    except (VerificationError, InvalidHashError):
        return False


def _typed(password: Secret) -> str:
    """One form for what looks the same: keyboards make an accented letter of one code point or of two."""
    return unicodedata.normalize("NFKC", password.reveal())
