"""The crash oracle: what was acknowledged is an obligation, whatever then dies, lies, hangs, fills up or jumps.

It knows the product from outside alone: its HTTP API, its commands, its documented log, and the sandbox as the witness.
"""
