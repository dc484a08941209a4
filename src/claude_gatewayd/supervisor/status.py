"""What `status` and `health` say. Pure: made of what the workers have pushed, never by asking one."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from claude_gatewayd.errors import run_hint
from claude_gatewayd.supervisor.workers.worker_process import WorkerProcess
from claude_gatewayd.system.clock_time import clock_time

Snapshot = Mapping[str, Any]

_WHY: dict[str, Any] = {"why": "no generation serves"}
_NO_BEDROCK = _WHY | {
    "enabled": False, "source": "", "region": "", "through": "", "transport": "", "unreachable": "",
    "unreachable_hint": "",
    "last_success": None, "last_failure": None, "failure": "", "refused": [],
    "models_listed_at": None, "denied_models": [],
}  # fmt: skip
_NO_LITELLM = _WHY | {"state": "off", "version": "", "seconds": 0.0, "config": None, "callbacks": []}
_NO_USAGE: dict[str, Any] = {
    "day": "", "requests": 0, "tokens": 0, "cost": 0.0, "billed": 0.0, "fallback_cost": 0.0, "unpriced": 0,
    "is_complete": False, "month": {"month": "", "bedrock_cost": 0.0, "unpriced": 0, "budget": 0.0},
}  # fmt: skip
_BUDGET_SPENT = "Bedrock does not step in: [bedrock] monthly_budget is spent"
_NO_LEDGER = _WHY | {
    "state": "off", "database": "", "hint": "", "set_aside": "",
    "waiting": 0, "spilled": 0, "dropped": 0, "written": 0,
}  # fmt: skip
_NO_SHARED = _WHY | {"state": "off", "database": "", "hint": "", "since": None, "others": []}


def serving(snapshot: Snapshot) -> dict[str, Any]:
    """Return what is taken from the current generation alone: Bedrock, LiteLLM, usage, the ledger and so on."""
    return {
        "bedrock": _NO_BEDROCK | snapshot.get("bedrock", {}),
        "litellm": _NO_LITELLM | snapshot.get("litellm", {}),
        "usage": _NO_USAGE | snapshot.get("usage", {}),
        "ledger": _NO_LEDGER | snapshot.get("ledger", {}),
        "shared": _NO_SHARED | snapshot.get("shared", {}),
        "credentials": snapshot.get("credentials"),
        "circuits": snapshot.get("circuits", []),
        "notices": snapshot.get("notices", []),
    }


def _why_not(credentials: Mapping[str, Any]) -> str:
    why = credentials["why"] or "the AWS credentials have ended"
    return f"Bedrock cannot step in: {why}{run_hint(credentials['hint'])}"


def generations(workers: Iterable[WorkerProcess]) -> list[dict[str, Any]]:
    """Return `generations`: a generation is one entry, however many workers it has. The first of them come first."""
    together: dict[tuple[int, str], list[WorkerProcess]] = {}
    for worker in workers:
        together.setdefault((worker.number, worker.state), []).append(worker)
    return [_generation(some) for some in together.values()]


def _generation(workers: Sequence[WorkerProcess]) -> dict[str, Any]:
    first = workers[0]
    return {
        "number": first.number,
        "pid": first.pid,
        "pids": [worker.pid for worker in workers],
        "state": first.state,
        "since": first.since,
        **{name: sum(one.snapshot.get(name, 0) for one in workers) for name in ("streams", "connections", "memory")},
        "at_rest": all(worker.at_rest for worker in workers),
    }


def one_line(status: Mapping[str, Any], now: float) -> str:
    """Return the status for systemd's STATUS=, and for the log."""
    if status["problems"]:
        meanwhile = "; the worker before it serves on" if status["predecessors"] else ""
        return f"cannot serve: {status['problems'][0]['where']}: {status['problems'][0]['message']}{meanwhile}"
    streams = status["streams"]
    bedrock = f"Bedrock {_bedrock(status, now)}, " if status["bedrock"]["enabled"] else ""
    first = next((_headline(notice) for notice in status["notices"]), "")
    return f"{first}Anthropic {status['anthropic']['state']}, {bedrock}{streams} stream{'' if streams == 1 else 's'}"


def _headline(notice: Mapping[str, Any]) -> str:
    """Return a notice and the command that fixes it; without a countdown, which would change every minute."""
    return f"{notice['title']}: run {notice['hint']}; " if notice["hint"] else f"{notice['title']}; "


def _bedrock(status: Mapping[str, Any], now: float) -> str:
    """Return the state of Bedrock in a word, and until when it lasts."""
    credentials = status["credentials"] or {}
    if _cannot_sign(credentials, now):
        return "down"
    if status["bedrock"].get("unreachable"):
        return "failing"
    success, failure = (status["bedrock"].get(f"last_{what}") or 0.0 for what in ("success", "failure"))
    if failure > success:
        return "failing"
    until = credentials.get("works_until")
    broken = " (asked directly: LiteLLM has failed)" if status["litellm"]["state"] == "failed" else ""
    return (f"ok until {clock_time(until, now)}" if until is not None else "ok") + broken


def _cannot_sign(credentials: Mapping[str, Any], now: float) -> bool:
    """Return whether the credentials cannot be used. A busy worker reports their end a little late."""
    until = credentials.get("works_until")
    return credentials.get("state") in ("down", "unconfigured") or (until is not None and until <= now)


def health(status: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Return whether the gateway can be relied on, and why not; or what a person may miss while it can."""
    why = ""
    budget_spent = _is_budget_spent(status["usage"]["month"])
    if status["problems"]:
        why = "; ".join(f"{p['where']}: {p['message']}" for p in status["problems"])
    elif status["state"] != "serving":
        why = f"the daemon is {status['state']}"
    elif status["bedrock"]["enabled"] and _cannot_sign(status["credentials"] or {}, now):
        why = _why_not(status["credentials"])
    elif status["bedrock"]["enabled"] and status["bedrock"].get("unreachable"):
        found, hint = status["bedrock"]["unreachable"], status["bedrock"]["unreachable_hint"]
        why = f"Bedrock cannot step in: {found}" + (f". Run: {hint}" if hint else "")
    elif status["anthropic"]["state"] == "failing" and not (
        status["bedrock"]["enabled"] and not budget_spent and _bedrock(status, now).startswith("ok")
    ):
        why = f"Anthropic: {status['anthropic']['failure']}"
        if status["bedrock"]["enabled"] and status["bedrock"]["failure"]:
            why += f"; {status['bedrock']['failure']}"
        if budget_spent:
            why += f"; {_BUDGET_SPENT}"
    missed = "; ".join(filter(None, (_BUDGET_SPENT if budget_spent else "", _not_shared(status["shared"]))))
    return {"healthy": not why, "why": why or missed}


def _not_shared(shared: Mapping[str, Any]) -> str:
    """Return what is missed where a gateway that should share does not: it serves all the same."""
    if shared["state"] not in ("away", "refused"):
        return ""
    return f"nothing is shared with other gateways: {shared['why']}{run_hint(shared['hint'])}"


def _is_budget_spent(month: Mapping[str, Any]) -> bool:
    return bool(month["budget"]) and month["bedrock_cost"] >= month["budget"]
