"""What an answer used, read from a copy of it while it passes."""
