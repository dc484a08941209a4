"""What was used over time, for the page: read once, and of what is over only what has changed since."""
