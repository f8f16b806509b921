"""Everything at work on one machine: a sandbox, a server, a worker, and a small fleet of agents on the official SDK."""
