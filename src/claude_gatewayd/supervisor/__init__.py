"""The daemon's first process: it owns the socket, the signals and the generations, and serves no request itself."""
