"""The daemon's first process: it owns the socket, the signals and the generations, and serves no request itself."""

import signal

# Blocked where a process becomes a supervisor: until that handles them they would end it.
SIGNALS = frozenset({signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGTERM})
STATE_VARIABLE = "CLAUDE_GATEWAYD_STATE"  # leads to what the version before this one has left
