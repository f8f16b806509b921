"""The registry of agents, and stopping one."""
