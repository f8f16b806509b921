"""A local stand-in for Datadog Log Management: takes logs as the real intake does, shows them, and fails on request."""
