"""What Datadog is: its sites, what it takes as a log, how its intake and its key validation answer."""
