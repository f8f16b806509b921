"""Log monitors as Datadog understands them: their query, their evaluation over a window of logs, their message."""
