"""Both ends of what the processes say to one another."""
