"""API keys as text: how they are made, recognised and hashed."""

import hashlib
import hmac
import re

from execlave_server.model.organizations import KeyEnvironment

KEY_PATTERN = re.compile(r"exe_(?:prod|stg|dev)_[A-Za-z0-9_-]{43}")  # 256 random bits after the environment


def compose_key(environment: KeyEnvironment, token: str) -> str:
    """A new API key from 256 random bits."""
    return f"exe_{environment}_{token}"


def hash_key(pepper: bytes, key: str) -> bytes:
    """The keyed hash under which a key is stored and looked up (HMAC-SHA256, 32 bytes)."""
    return hmac.digest(pepper, key.encode(), hashlib.sha256)


def signature_of(key: str, timestamp: str, body: bytes) -> str:
    """The SDK's request signature: `sha256=` and the hex HMAC-SHA256 of `timestamp.body` under the API key."""
    mac = hmac.new(key.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return "sha256=" + mac.hexdigest()
