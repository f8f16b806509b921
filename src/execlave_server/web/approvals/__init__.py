"""What waits for a person, and what people decided."""
