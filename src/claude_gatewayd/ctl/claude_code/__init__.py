"""Claude Code as it is on this machine: its settings.json, what else steers it, where it is and whether it runs."""
