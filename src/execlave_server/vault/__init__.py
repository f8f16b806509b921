"""Secrets at rest: sealed with a data key of their own, which is wrapped by the key-encryption key."""
