"""What injected instructions look like: the rules, and the readings of a text they are held against."""
