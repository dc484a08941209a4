"""Claude Code on this machine: its settings.json, what else configures it, where it is, and whether it runs."""
