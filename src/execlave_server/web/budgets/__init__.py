"""Budget rules and how far they are used up."""
