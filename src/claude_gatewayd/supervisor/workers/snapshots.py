"""The snapshots of several workers as one, and of several generations."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

Snapshot = Mapping[str, Any]

_LITELLM: Final = ("failed", "loading", "ready", "off")  # what is worth saying of several, the first of it
_SHARED: Final = ("refused", "away", "connecting", "connected", "off")
_ADDED_UP: Final = ("waiting", "spilled", "dropped", "written")


def together(workers: Sequence[Snapshot]) -> dict[str, Any]:
    """Return the snapshots of a generation's workers as one: the first one's, but for what each knows alone."""
    seen = [snapshot for snapshot in workers if snapshot]
    if len(seen) < 2:
        return dict(seen[0]) if seen else {}
    return {
        **seen[0],
        "bedrock": seen[0]["bedrock"] | _outcomes([one["bedrock"] for one in seen]),
        "litellm": min((one["litellm"] for one in seen), key=lambda one: _LITELLM.index(one["state"])),
        "ledger": _ledger([one["ledger"] for one in seen]),
        "shared": min((one.get("shared", {}) for one in seen), key=lambda one: _SHARED.index(one.get("state", "off"))),
    }


def _outcomes(known: Sequence[Snapshot]) -> dict[str, Any]:
    """Return the last success and failure of an upstream that any has seen."""
    success = max((at for one in known if (at := one["last_success"])), default=None)
    failed = max(
        (one for one in known if one["last_failure"]), key=lambda one: float(one["last_failure"]), default=None
    )
    return {
        "last_success": success,
        "last_failure": failed["last_failure"] if failed else None,
        "failure": failed["failure"] if failed else "",
    }


def _ledger(known: Sequence[Snapshot]) -> dict[str, Any]:
    """Return the state of whoever cannot write, and the rows of all."""
    shown = next((one for one in known if one["state"] == "waiting"), known[0])
    return {**shown, **{name: sum(one[name] for one in known) for name in _ADDED_UP}}


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
    seen = _outcomes(known)
    success, failure_at = seen["last_success"], seen["last_failure"]
    if success is None and failure_at is None:
        state = "unknown"
    else:
        state = "failing" if (failure_at or 0) >= (success or 0) else "ok"
    return {"state": state, **seen}
