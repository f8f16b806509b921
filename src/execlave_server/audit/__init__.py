"""What proves that a trace or a decision was recorded then and has not changed since. Pure: bytes in, bytes out."""
