"""`claude-gatewayctl` alone: the state, and what to do next."""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from claude_gatewayd import paths, printable
from claude_gatewayd.ctl import identity
from claude_gatewayd.ctl.managed import can_be_installed, why_down
from claude_gatewayd.ctl.terminal import colour, text
from claude_gatewayd.ctl.terminal.output import DONE, NOT_RUNNING
from claude_gatewayd.ipc import client

CTL = "claude-gatewayctl"


class Situation(NamedTuple):
    """What the next steps depend on: the running daemon's status, or None, and what has been set up.

    *can_be_installed*: there is a service manager; *remote*: the gateway elsewhere that Claude Code points at.
    """

    status: dict[str, Any] | None
    is_installed: bool
    claude_points_here: bool
    claude_is_there: bool = True
    can_be_installed: bool = True
    remote: str = ""


class NextStep(NamedTuple):
    """A command, and what it is for."""

    command: str
    why: str


BEGIN = NextStep(f"{CTL} setup", "set up everything in one guided run")


def overview() -> int:
    """Show the status and the next useful commands. Returns the exit status of `status`."""
    status: dict[str, Any] | None = None
    first: list[NextStep] = []
    try:
        status = client.ask("status")
        plain = text.status(status, time.time())
    except client.NotRunning as error:
        down = why_down(error)
        plain = f"down  {down.message}"
        if isinstance(down, identity.PortTaken):
            first.append(NextStep(down.hint, "take a free port"))
    situation = Situation(
        status,
        is_installed=paths.is_installed(os.environ),  # `install` leaves it
        claude_points_here=_points_here(status),
        claude_is_there=shutil.which("claude") is not None,
        can_be_installed=can_be_installed(),
        remote=_remote(),
    )
    steps = [NextStep(*map(printable.one_line, step)) for step in (*first, *next_steps(situation))]
    width = max(len(step.command) for step in steps)
    in_colour = colour.wanted(sys.stdout, os.environ)
    plain = printable.lines(plain)
    lines = [colour.status(plain) if in_colour else plain, "", "Next:"]
    for command, why in steps:
        shown = colour.ink(command, colour.CYAN) if in_colour else command
        lines.append(f"  {shown}{' ' * (width - len(command))}    {why}")
    print("\n".join(lines), file=printable.unguarded(sys.stdout))
    return NOT_RUNNING if status is None else DONE


def next_steps(situation: Situation) -> Iterator[NextStep]:
    """Yield the commands that are useful now, the most urgent first, and last how to list the others."""
    status = situation.status
    if status is None and situation.remote:
        yield NextStep(f"{CTL} doctor", f"see whether {situation.remote} answers, and accepts the key")
        yield NextStep(f"{CTL} remove-claude", "have Claude Code talk to Anthropic itself again")
    elif status is None and situation.is_installed:
        yield NextStep(f"{CTL} start", "start the service")
        yield NextStep(f"{CTL} logs", "see why it stopped")
        yield NextStep(f"{CTL} doctor", "diagnose problems and get the fixes")
        if situation.claude_points_here:
            yield NextStep(f"{CTL} run --direct", "run Claude Code once without the gateway")
    elif status is None:
        yield BEGIN
        if situation.claude_is_there:
            yield NextStep(f"{CTL} run", "run Claude Code once through the gateway")
    else:
        yield from _while_it_runs(status, situation)
    yield NextStep(f"{CTL} --help", "list all verbs")


def _while_it_runs(status: dict[str, Any], situation: Situation) -> Iterator[NextStep]:
    hints = dict.fromkeys(notice["hint"] for notice in status["notices"] if notice["hint"])
    for hint in hints:
        why = next(notice["title"] for notice in status["notices"] if notice["hint"] == hint)
        if hint != f"{CTL} status":  # that is what is shown already
            yield NextStep(hint, why)
    if status["problems"]:
        yield NextStep(f"{CTL} config check", "show what is wrong with the configuration")
        yield NextStep(f"{CTL} reload", "load it once it is fixed")
    if situation.remote:
        yield NextStep(f"{CTL} configure-claude", f"point Claude Code here: it uses {situation.remote}")
    elif not situation.claude_points_here:
        yield NextStep(f"{CTL} configure-claude", "point Claude Code here permanently")
        yield NextStep(f"{CTL} run", "or run it through the gateway once")
    if not situation.is_installed and situation.can_be_installed:
        yield NextStep(f"{CTL} install --now", "start it at every login; it was started by hand")
    is_broken = status["litellm"]["state"] == "failed"
    if status["anthropic"]["state"] == "failing" or status["notices"] or status["problems"] or is_broken:
        yield NextStep(f"{CTL} doctor", "diagnose problems and get the fixes")
    if status["state"] == "serving" and not status["notices"]:
        yield NextStep(f"{CTL} status --watch", "watch the status")


def _remote() -> str:
    """Return the address of the gateway on another machine that Claude Code points at, "" for none."""
    from claude_gatewayd.ctl.claude_code.remote import gateway

    found = gateway.in_settings(os.environ)
    return found.url if found is not None else ""


def _points_here(status: dict[str, Any] | None) -> bool:
    """Return whether Claude Code's settings point at the gateway, running or configured."""
    from claude_gatewayd.ctl.claude_code import edit_settings, obstacles
    from claude_gatewayd.ctl.claude_code.destinations import address

    here = edit_settings.here(os.environ).url if status is None else edit_settings.for_callers(status["address"])
    return address(obstacles.variables(obstacles.settings_file(os.environ))) == here
