"""What the server does, one verb a file. Facts are fetched before a decision, its result is saved after."""
