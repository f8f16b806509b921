"""Incidents: the list, and one incident with its timeline and what can be done."""
