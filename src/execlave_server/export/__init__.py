"""Delivery: a process of its own that sends committed batches to Datadog and writes down what became of each."""
