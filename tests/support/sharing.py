"""Gateways that share their state by a PostgreSQL."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.daemon import Daemon, wait_until
from tests.support.stage import Stage

SECRET = b"c2hhcmVkIGJ5IGFsbCBvZiB0aGVzZSBnYXRld2F5cyE=\n"


def secret_file(directory: Path, secret: bytes = SECRET) -> Path:
    """Make a file with a secret, as a person would."""
    file = directory / "shared.secret"
    file.write_bytes(secret)
    file.chmod(0o600)
    return file


def sharing(url: str, secret: Path) -> str:
    """Return the configuration of a gateway that shares."""
    return f'[shared]\nurl = "{url}"\nsecret_file = "{secret}"\n'


def shared(daemon: Daemon) -> dict[str, Any]:
    """Return what its status says of what it shares."""
    found: dict[str, Any] = daemon.status()["shared"]
    return found


def wait_shared(daemon: Daemon, state: str, *more: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait until what is shared is in a state, and more holds of it."""
    wait_until(
        lambda: (how := shared(daemon))["state"] == state and all(holds(how) for holds in more),
        describe=lambda: f"{shared(daemon)}\n{daemon.describe()}",
    )
    return shared(daemon)


def limited(stage: Stage) -> None:
    """Have Anthropic refuse a gateway's request by a limit."""
    reset = str(int(time.time()) + 3600)
    headers = {
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-reset": reset,
        "anthropic-ratelimit-unified-5h-status": "rejected",
        "anthropic-ratelimit-unified-5h-reset": reset,
    }
    stage.anthropic.fail_next(429, headers=headers)
