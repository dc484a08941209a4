"""A daemon's totals of today and its budget, as its status has them."""

from typing import Any

from tests.support.daemon import Daemon, wait_until
from tests.support.rows import rows
from tests.support.stage import Reply, Stage

CONFIG = """
[router]
num_retries = 0
allowed_fails = 100
[bedrock]
through = "direct"
MORE
"""


def usage(daemon: Daemon) -> dict[str, Any]:
    found: dict[str, Any] = daemon.status()["usage"]
    return found


def wait_usage(daemon: Daemon, requests: int) -> dict[str, Any]:
    """Return the totals once they have so many requests, and the ledger has what they have."""

    def is_so() -> bool:
        found, cost = usage(daemon), sum(one["cost"] for one in rows(daemon, "quarters"))
        return bool(found["is_complete"]) and found["requests"] == requests and abs(found["cost"] - cost) < 1e-6

    wait_until(is_so, describe=lambda: f"{usage(daemon)} {rows(daemon, 'quarters')}\n{daemon.describe()}")
    return usage(daemon)


def failing(stage: Stage) -> Reply:
    """Ask while Anthropic fails."""
    stage.anthropic.fail_next(529)
    return stage.ask()
