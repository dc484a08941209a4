"""The verb for Claude Code's status line: which provider is serving, and what to do about it, in one line.

Claude Code runs it after each turn, and at `refreshInterval`, with a JSON object on its standard input. That is not
read, so there is nothing to wait for. Claude Code shows what is printed, in colour, but only if the exit status is 0.
"""

import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from claude_gatewayd import printable
from claude_gatewayd.ctl.terminal import colour as paint
from claude_gatewayd.ctl.terminal import spending
from claude_gatewayd.ctl.terminal.output import DONE, add_json_flag
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import client
from claude_gatewayd.system.clock_time import clock_time

if TYPE_CHECKING:  # a verb that takes switches only needs none of it
    import argparse

_WITHIN = 0.3
_SEPARATOR = " · "
_COLOURS = {"ok": "", "warning": paint.YELLOW, "trouble": paint.RED}
_SERVING = ("bedrock-serves", "nobody-serves")
_NOT_SERVING = {"starting": "gateway starting", "recovering": "gateway recovering", "stopping": "gateway stopping"}

statusline_arguments = add_json_flag


class Part(NamedTuple):
    """A part of the line, and how serious it is: ok, warning, trouble."""

    words: str
    weight: str = "ok"


def statusline(arguments: "argparse.Namespace") -> int:
    """Print the line; always with exit status 0, or Claude Code would not show it."""
    try:
        parts = line(client.ask("status", _WITHIN), time.time(), os.environ)
    except client.NotRunning as error:
        parts = [_down(error.hint)]
    except GatewayError:
        parts = [Part("gateway not responding: claude-gatewayctl doctor", "trouble")]
    if arguments.json:
        import json

        weights = [part.weight for part in parts]
        worst = next(weight for weight in ("trouble", "warning", "ok") if weight in weights)
        print(json.dumps({"state": worst, "text": _SEPARATOR.join(part.words for part in parts)}))
        return DONE
    in_colour = not os.environ.get("NO_COLOR")  # Claude Code's end of the pipe is a terminal
    parts = [part._replace(words=printable.one_line(part.words)) for part in parts]
    shown = _SEPARATOR.join(_painted(part) if in_colour else part.words for part in parts)
    print(shown, file=printable.unguarded(sys.stdout))
    return DONE


def line(status: Mapping[str, Any], now: float, environ: Mapping[str, str]) -> list[Part]:
    """Return the parts for a status, the serving lane first."""
    if status["problems"]:
        return [Part("gateway cannot serve, invalid configuration: claude-gatewayctl config check", "trouble")]
    if status["state"] != "serving":
        return [Part(_NOT_SERVING.get(status["state"], f"gateway {status['state']}"), "warning")]
    notices = status["notices"]
    if _is_in_bedrock_mode(status["address"], environ):
        others = [_other(notice, now) for notice in notices if notice["event"] not in _SERVING]
        return [_bedrock(status["bedrock"]), *others, *_today(status)]
    if _goes_around(status["address"], environ):
        return [Part("bypassing the gateway", "warning")]
    lane = next((_lane(notice, now) for notice in notices if notice["event"] in _SERVING), None)
    if lane is None and status["anthropic"]["state"] == "failing":
        lane = Part(f"Anthropic {status['anthropic']['failure']}", "warning")
    others = [_other(notice, now) for notice in notices if notice["event"] not in _SERVING]
    return [lane or Part("Anthropic"), *others, *_today(status)]


def _lane(notice: Mapping[str, Any], now: float) -> Part:
    since = f" since {clock_time(notice['since'], now)}" if notice["since"] else ""
    if notice["event"] == "bedrock-serves":
        return Part(f"Bedrock{since}: {_short(notice['message'])}", "warning")
    return Part(f"neither Anthropic nor Bedrock{since}: {notice['hint']}", "trouble")


def _other(notice: Mapping[str, Any], now: float) -> Part:
    """Return a notice with a countdown in place of its time, and the command that fixes it."""
    left = notice["until"] - now if notice["until"] is not None else 0.0
    counted = _duration(left) if left > 0 else ""
    words = {
        "login-needed": f"Bedrock works for another {counted}",
        "credentials-end": f"AWS credentials end in {counted}",
        "registration-ends": f"AWS login renews for another {counted}",
    }.get(notice["event"] if counted else "", notice["title"])
    mend = f": {notice['hint']}" if notice["hint"] else ""
    return Part(words + mend, "warning" if counted or not notice["is_urgent"] else "trouble")


def _today(status: Mapping[str, Any]) -> list[Part]:
    """Return what was used today. A daemon of an earlier version does not count it."""
    words = spending.brief(status["usage"]) if "usage" in status else ""
    return [Part(words)] if words else []


def _down(start: str) -> Part:
    """Return what is so while the daemon does not run: Claude Code's requests may reach somebody else."""
    from claude_gatewayd.ctl import identity
    from claude_gatewayd.ctl.claude_code import edit_settings
    from claude_gatewayd.ctl.claude_code.remote import gateway

    if (remote := gateway.in_settings(os.environ)) is not None:
        return Part(f"gateway at {remote.url.partition('://')[2]}")
    if identity.squatter(edit_settings.here(os.environ).url, _WITHIN) is None:
        return Part(f"gateway down: {start}", "trouble")
    return Part("NOT YOUR GATEWAY: another program has its port: claude-gatewayctl doctor", "trouble")


def _bedrock(bedrock: Mapping[str, Any]) -> Part:
    """Return how Bedrock answers a Claude Code in Bedrock mode, which asks nobody else."""
    failing = (bedrock["last_failure"] or 0.0) > (bedrock["last_success"] or 0.0)
    return Part(f"Bedrock: {_short(bedrock['failure'])}", "warning") if failing else Part("Bedrock")


def _is_in_bedrock_mode(address: str, environ: Mapping[str, str]) -> bool:
    """Return whether the Claude Code that runs us comes to the gateway in Bedrock mode."""
    port = address.rpartition(":")[2]
    leads_here = environ.get("ANTHROPIC_BEDROCK_BASE_URL", "").rstrip("/").endswith(f":{port}/bedrock")
    if not (leads_here and environ.get("CLAUDECODE")):  # the table is not loaded for those without
        return False
    from claude_gatewayd.ctl.claude_code.destinations import USE_BEDROCK, is_true

    return is_true(environ.get(USE_BEDROCK))


def _goes_around(address: str, environ: Mapping[str, str]) -> bool:
    """Return whether the Claude Code that runs us goes elsewhere: its settings are in our environment."""
    if not environ.get("CLAUDECODE"):
        return False
    if any(name.startswith("CLAUDE_CODE_USE_") for name in environ):  # the table is not loaded for those without
        from claude_gatewayd.ctl.claude_code.destinations import TABLE, is_true

        if any(row.kind == "provider" and is_true(environ.get(row.name)) for row in TABLE):
            return True
    port = address.rpartition(":")[2]
    return not environ.get("ANTHROPIC_BASE_URL", "").rstrip("/").endswith(f":{port}")


def _duration(seconds: float) -> str:
    """Return a countdown coarse enough to be read."""
    if seconds < 60:
        return "less than a minute"
    return f"{seconds // 60:.0f} min" if seconds < 7200 else f"{seconds // 3600:.0f} h"


def _short(message: str) -> str:
    return message if len(message) <= 60 else f"{message[:59]}…"


def _painted(part: Part) -> str:
    colour = _COLOURS[part.weight]
    return paint.ink(part.words, colour) if colour else part.words
