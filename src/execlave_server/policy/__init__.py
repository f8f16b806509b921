"""What may run: pure functions from facts to violations."""
