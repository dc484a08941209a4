"""A per-user daemon that keeps Claude Code working.

Read `supervisor.life` first: it is the life of the daemon. Then `worker`, one generation of it, and `gateway`,
one request's way through a worker.
"""

__version__ = "0.1.0"
