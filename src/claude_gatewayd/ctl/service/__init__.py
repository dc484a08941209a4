"""The verbs for the service of systemd or launchd, and what they do."""
