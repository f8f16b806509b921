"""Settings: oneself, API keys, members, the organization."""
