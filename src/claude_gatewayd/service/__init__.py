"""systemd and launchd: installing and controlling the service, and talking to the manager that started us."""
