"""What `status` and `health` say. Pure: made of what the workers have pushed, never by asking one."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from claude_gatewayd.supervisor.generation import Generation

Snapshot = Mapping[str, Any]


def together(snapshots: Iterable[Snapshot]) -> dict[str, Any]:
    """Return what several generations have seen as if it were one: counts added up, Anthropic by the latest word."""
    seen = [snapshot for snapshot in snapshots if snapshot]
    requests: Counter[str] = Counter()
    for snapshot in seen:
        requests.update(snapshot["requests"])
    return {
        "anthropic": _anthropic([snapshot["anthropic"] for snapshot in seen]),
        "requests": dict(sorted(requests.items())),
        "retries": sum(snapshot["retries"] for snapshot in seen),
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


def generation(one: Generation) -> dict[str, Any]:
    """Return what is known of a generation."""
    return {
        "number": one.number,
        "pid": one.pid,
        "state": one.state,
        "since": one.since,
        "streams": one.snapshot.get("streams", 0),
        "connections": one.snapshot.get("connections", 0),
        "memory": one.snapshot.get("memory", 0),
    }


def one_line(status: Mapping[str, Any]) -> str:
    """Return the status for systemd's STATUS=, and for the log."""
    if status["problems"]:
        return f"cannot serve: {status['problems'][0]['where']}: {status['problems'][0]['message']}"
    streams = status["streams"]
    return f"Anthropic {status['anthropic']['state']}, {streams} stream{'' if streams == 1 else 's'}"


def health(status: Mapping[str, Any]) -> dict[str, Any]:
    """Say whether one may rely on the gateway, and why not."""
    why = ""
    if status["problems"]:
        why = "; ".join(f"{p['where']}: {p['message']}" for p in status["problems"])
    elif status["state"] != "serving":
        why = f"the daemon is {status['state']}"
    elif status["anthropic"]["state"] == "failing":
        why = f"Anthropic: {status['anthropic']['failure']}"
    return {"healthy": not why, "why": why}
