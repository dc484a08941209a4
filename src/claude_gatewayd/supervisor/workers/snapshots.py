"""The snapshots of several generations as one."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

Snapshot = Mapping[str, Any]


def combined(snapshots: Iterable[Snapshot]) -> dict[str, Any]:
    """Return the snapshots of several generations as one: counts added up, Anthropic by its latest outcome."""
    seen = [snapshot for snapshot in snapshots if snapshot]
    requests: Counter[str] = Counter()
    for snapshot in seen:
        requests.update(snapshot["requests"])
    return {
        "anthropic": _anthropic([snapshot["anthropic"] for snapshot in seen]),
        "requests": dict(sorted(requests.items())),
        "retries": sum(snapshot["retries"] for snapshot in seen),
        "fallbacks": sum(snapshot.get("fallbacks", 0) for snapshot in seen),
        "unseen_by_callbacks": sum(snapshot.get("unseen_by_callbacks", 0) for snapshot in seen),
    }


def _anthropic(known: list[Snapshot]) -> dict[str, Any]:
    success = max((a["last_success"] for a in known if a["last_success"]), default=None)
    failed = max((a for a in known if a["last_failure"]), key=lambda a: float(a["last_failure"]), default=None)
    failure_at = failed["last_failure"] if failed else None
    if success is None and failure_at is None:
        state = "unknown"
    else:
        state = "failing" if (failure_at or 0) >= (success or 0) else "ok"
    return {
        "state": state,
        "last_success": success,
        "last_failure": failure_at,
        "failure": failed["failure"] if failed else "",
    }
