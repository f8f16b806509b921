"""Policies: what is in force, what was, and what a change would do."""
