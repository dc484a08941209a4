"""Where the daemon's words go: standard output and error, the journal, a log file."""
