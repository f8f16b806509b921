"""Where everything is kept: one narrow protocol, named SQL statements, and an engine for each database."""
