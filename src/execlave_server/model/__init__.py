"""The words of the product as types: agents, traces, keys, decisions, destinations."""
