"""A per-user daemon that keeps Claude Code working.

Read `supervisor.supervisor` first, the daemon from start to end. Then `worker.worker`, one generation of it, and
`worker.gateway.gateway`, which takes a request and chooses where it goes.
"""

__version__ = "0.1.0"
