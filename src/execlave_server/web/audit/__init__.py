"""The audit chain: search, verify, export."""
