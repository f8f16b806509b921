"""What this product ships for Datadog: monitors, pipeline, metrics, dashboard and detection rules, as data."""
