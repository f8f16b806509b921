"""Self-hosted governance for AI agents: enforce, trace, and stream every trace to Datadog Logs."""

__version__ = "0.1.0"
