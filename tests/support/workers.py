"""A daemon with several workers."""

from typing import Any

from tests.support.daemon import Daemon, wait_until

TWO = "[listen]\nworkers = 2\n"


def all_serve(daemon: Daemon, count: int = 2) -> dict[str, Any]:
    """Wait until a generation has all its workers, and return it."""
    wait_until(lambda: daemon.status()["state"] == "serving" and len(daemon.generation()["pids"]) == count, 20)
    return daemon.generation()
