"""What a page may have done: reload, look at the credentials. Each returns a sentence of what came of it."""

import json
import time
from collections.abc import Mapping
from typing import Any, Final

from claude_gatewayd.dashboard import command
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import client
from claude_gatewayd.system.clock_time import clock_time

_RELOADS_WITHIN: Final = 180.0
_CHECKS_WITHIN: Final = 60.0


def reload(_query: Mapping[str, str]) -> dict[str, Any]:
    """Do what `claude-gatewayctl reload` does."""
    try:
        reply = client.ask("reload", _RELOADS_WITHIN)
    except GatewayError as error:
        return failed(error)
    if reply["applied"]:
        return outcome(f"reloaded in {reply['seconds']:.2f} s: generation {reply['generation']} serves")
    first = reply["problems"][0]
    why = f"not reloaded, nothing has changed: {first['where']}: {first['message']}"
    return outcome(why, first["hint"], ok=False)


async def check_credentials(_query: Mapping[str, str]) -> dict[str, Any]:
    """Do what `claude-gatewayctl credentials --check` does: in the daemon's environment, so with its credentials."""
    try:
        ran = await command.run("credentials", "--check", "--json", seconds=_CHECKS_WITHIN)
        found = json.loads(ran.output)
    except GatewayError as error:
        return failed(error)
    except ValueError:
        return failed(command.problem(ran, "the credentials cannot be checked"))
    return judged(found, time.time(), ok=ran.status == 0)


def judged(found: Mapping[str, Any], now: float, *, ok: bool) -> dict[str, Any]:
    """Return the sentence for what `credentials --check --json` has found."""
    source = found["source"] or "no AWS credentials"
    if not ok:
        return outcome(f"{source}: {found['why'] or 'they do not work'}", found["hint"], ok=False)
    account = f", account {found['account']}" if found.get("account") else ""
    role = f", role {found['role']}" if found.get("role") else ""
    until = f", until {clock_time(found['works_until'], now)}" if found.get("works_until") else ""
    return outcome(f"the AWS credentials work: {source}{account}{role}{until}", found["hint"])


def failed(error: GatewayError) -> dict[str, Any]:
    """Return what a page shows of an error."""
    return outcome(error.message, error.hint, ok=False)


def outcome(message: str, hint: str = "", *, ok: bool = True) -> dict[str, Any]:
    """Return what a page shows of an action."""
    return {"ok": ok, "message": message[:1].upper() + message[1:], "hint": hint}
