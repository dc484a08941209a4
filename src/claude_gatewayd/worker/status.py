"""How a generation is, as JSON: the worker sends it to the supervisor, which shows it in `status`."""

from pathlib import Path
from typing import Any

import claude_gatewayd
from claude_gatewayd.config.model import Config
from claude_gatewayd.system import memory
from claude_gatewayd.worker.assembly import Parts

_NOTHING_SHARED: dict[str, Any] = {"state": "off", "why": "[shared] url is not set", "others": []}


def of_parts(parts: Parts) -> dict[str, Any]:
    """Return how the parts are. Its fields are those of docs/status-json.md."""
    litellm = parts.engine.snapshot()
    if litellm["state"] == "off":
        litellm["why"] = "it loads when it is needed"
    counts = parts.tally.snapshot()
    status = counts | parts.bedrock.status()
    status["bedrock"] |= counts["bedrock"] | parts.transports.snapshot() | {"refused": parts.learned.snapshot()}
    if parts.catalog is not None:
        status["bedrock"] |= parts.catalog.status()
    return status | {
        "litellm": litellm,
        "unseen_by_callbacks": parts.unseen.answers,
        "circuits": parts.circuits.snapshot(),
        "notices": parts.notices.active(),
        "usage": parts.totals.snapshot(),
        "ledger": parts.ledger.snapshot(),
        "shared": _NOTHING_SHARED if parts.cluster is None else parts.cluster.snapshot(),
        "outdated": parts.engine.outdated,
    }


def mark_of(file: Path | None) -> str:
    """Return what is another string after a change of the configuration file."""
    try:
        found = file.stat() if file is not None else None
    except OSError:
        found = None
    return "" if found is None else f"{found.st_mtime_ns}-{found.st_size}"


def of_process(config: Config, config_mark: str, loaded_at: float, code: str, connections: int) -> dict[str, Any]:
    """Return what is known of the worker itself: *code* is the mark of the program that it runs."""
    return {
        "connections": connections,
        "memory": memory.resident(),
        "config": str(config.source) if config.source else None,
        "config_loaded_at": loaded_at,
        "drain_timeout": config.listen.drain_timeout,
        "leave_after": config.listen.leave_after,
        "workers": config.listen.workers,
        "config_mark": config_mark,
        "log_level": config.log.level,
        "version": claude_gatewayd.__version__,
        "code": code,
    }
