"""The composition root: makes the parts, joins them, and runs them as processes."""
