"""The sandbox's own pages: logs, monitors, and where it differs from Datadog."""
