"""What is spoken with systemd and launchd."""
