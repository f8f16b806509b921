"""Traces: the list, and one trace with everything about it."""
