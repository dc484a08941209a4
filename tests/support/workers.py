"""A daemon with several workers."""

from typing import Any

from tests.support.daemon import Daemon, wait_until

TWO = "[listen]\nworkers = 2\n"


def all_serve(daemon: Daemon, count: int = 2) -> dict[str, Any]:
    """Wait until a generation has all its workers, and return it."""
    found: list[dict[str, Any]] = []

    def serve() -> bool:
        generations = daemon.status()["generations"]  # once: one that serves may die before the next look
        found[:] = [one for one in generations if one["state"] == "serving" and len(one["pids"]) == count]
        return bool(found)

    wait_until(serve, 20)
    return found[0]
