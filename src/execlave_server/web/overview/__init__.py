"""What happened in the last day, and what waits for somebody."""
