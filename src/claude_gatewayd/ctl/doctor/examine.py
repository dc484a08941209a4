"""Run all checks at once, each in a thread of its own, and wait for none longer than a few seconds."""

import queue
import threading
import time
from collections.abc import Mapping

from claude_gatewayd.ctl.doctor.checks import Check, Context, checks
from claude_gatewayd.ctl.doctor.finding import Finding, Severity

_LIMIT = 4.5
_DEEP_LIMIT = 100.0


def examine(context: Context) -> list[Finding]:
    """Return what the checks found, in their order."""
    return run(checks(context), context, _DEEP_LIMIT if context.deep else _LIMIT)


def run(to_run: Mapping[str, Check], context: Context, seconds: float) -> list[Finding]:
    """Run the checks. One that takes longer than *seconds*, or raises, is reported as such and holds up no other."""
    done: queue.SimpleQueue[tuple[str, list[Finding]]] = queue.SimpleQueue()

    def run_one(name: str, check: Check) -> None:
        try:
            done.put((name, list(check(context))))
        except Exception as error:  # a bug in one check must not cost the results of the others
            why = f"{type(error).__name__}: {error}"
            done.put((name, [Finding(name, "fail", "cannot be checked", why, "claude-gatewayctl doctor --json")]))

    for name, check in to_run.items():
        # no pool: at exit Python waits for its threads, also for one that hangs in the resolver
        threading.Thread(target=run_one, args=(name, check), daemon=True).start()
    results: dict[str, list[Finding]] = {}
    deadline = time.monotonic() + seconds
    while len(results) < len(to_run) and (left := deadline - time.monotonic()) > 0:
        try:
            name, findings = done.get(timeout=left)
        except queue.Empty:
            break
        results[name] = findings
    return [finding for name in to_run for finding in results.get(name, [_timed_out(name, seconds)])]


def _timed_out(name: str, seconds: float) -> Finding:
    mend = {"Anthropic": "ping -c 1 api.anthropic.com", "Claude Code": "claude --version"}
    state: Severity = "note" if name == "Claude Code" else "fail"
    why = "it hangs, or this machine is very busy"
    return Finding(name, state, f"took longer than {seconds:g} s", why, mend.get(name, "claude-gatewayctl doctor"))
