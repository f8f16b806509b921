"""Log monitors of the sandbox: kept, evaluated each minute, and told of."""
