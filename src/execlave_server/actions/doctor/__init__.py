"""What `doctor` looks at: pure checks over facts that are read a page at a time, while everything runs."""
