"""What a page may have done: reload, look at the credentials. Each returns a sentence of what came of it."""

from collections.abc import Mapping
from typing import Any, Final

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import client

_RELOADS_WITHIN: Final = 180.0


def reload(_query: Mapping[str, str]) -> dict[str, Any]:
    """Do what `claude-gatewayctl reload` does."""
    try:
        reply = client.ask("reload", _RELOADS_WITHIN)
    except GatewayError as error:
        return outcome(error.message, error.hint, ok=False)
    if reply["applied"]:
        return outcome(f"Reloaded in {reply['seconds']:.2f} s: generation {reply['generation']} serves.")
    first = reply["problems"][0]
    return outcome(f"Not reloaded, nothing has changed: {first['where']}: {first['message']}", first["hint"], ok=False)


def outcome(message: str, hint: str = "", *, ok: bool = True) -> dict[str, Any]:
    """Return what a page shows of an action."""
    return {"ok": ok, "message": message[:1].upper() + message[1:], "hint": hint}
