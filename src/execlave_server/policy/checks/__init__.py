"""One policy type a file: a rule definition becomes a pure function from action and facts to a breach or None."""
