"""Settings, Integrations: Datadog Logs destinations, from their set-up to what they were sent."""
