"""The HTTP API: the SDK's frozen contract, and ours beside it in the same envelope."""
