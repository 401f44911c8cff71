"""Kill random parts of the stack at random moments, and see whether everything ends as if nothing had happened."""
