"""The verbs that ask the running daemon, and `key`."""

import os
import sys
import time
from typing import TYPE_CHECKING

import claude_gatewayd
from claude_gatewayd.ctl import identity
from claude_gatewayd.ctl.terminal import colour, text
from claude_gatewayd.ctl.terminal.output import DONE, NO, add_json_flag, show
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import client

if TYPE_CHECKING:  # a verb that takes switches only needs none of it
    import argparse

RELOAD_WITHIN = 180.0  # a generation's cold start, and one reload before ours

health_arguments = key_arguments = version_arguments = add_json_flag


def status_arguments(parser: "argparse.ArgumentParser") -> None:
    """Declare what `status` takes."""
    add_json_flag(parser)
    parser.add_argument("--watch", action="store_true", help="refresh every two seconds until Ctrl-C")


def status(arguments: "argparse.Namespace") -> int:
    """Show the daemon's state: generations, Anthropic, Bedrock, requests, memory."""
    if arguments.watch:
        from claude_gatewayd.ctl import watch

        return watch.status(in_json=arguments.json)
    try:
        reply = client.ask("status")
    except client.NotRunning as down:
        from claude_gatewayd.ctl.managed import why_down

        raise why_down(down) from None
    asked = identity.ask(reply["address"], runs=True)
    lines = [text.status(reply, time.time())]
    if not identity.is_acceptable(asked.who, reply):
        lines += [f"WARNING  {identity.describe(asked, reply)}", f"         {identity.mend(asked, reply)}"]
    reply["proven"] = None if asked.who == "silent" else asked.who == "ours"
    show(reply, "\n".join(lines), colour.status, in_json=arguments.json)
    return DONE


def health(arguments: "argparse.Namespace") -> int:
    """Report whether the gateway is healthy; exit 1 if it is not."""
    reply = client.ask("health")
    words = "healthy" if reply["healthy"] else f"not healthy: {reply['why']}"
    if reply["healthy"] and reply["why"]:
        words = f"healthy, but {reply['why']}"
    show(reply, words, colour.answer, in_json=arguments.json)
    return DONE if reply["healthy"] else NO


def reload_arguments(parser: "argparse.ArgumentParser") -> None:
    """Declare what `reload` takes."""
    forget = "forget what models at Bedrock have refused, and ask them with everything again"
    parser.add_argument("--forget", action="store_true", help=forget)


def reload(arguments: "argparse.Namespace") -> int:
    """Start a generation with the current configuration and switch to it; exit 1 if that fails."""
    return hand_over(forgets=arguments.forget)


def hand_over(*, forgets: bool = False) -> int:
    """Do what `reload` does; return the exit status."""
    from claude_gatewayd.ctl.terminal.progress import Progress

    with Progress("Starting a new generation; the old one keeps serving"):
        reply = client.ask("reload-and-forget" if forgets else "reload", RELOAD_WITHIN)
    if reply["applied"]:
        print(f"Reloaded in {reply['seconds']:.2f} s: generation {reply['generation']} is serving")
        return DONE
    print("Not reloaded, nothing has changed:", file=sys.stderr)
    print(text.problems(reply["problems"]), file=sys.stderr)
    return NO


def key(arguments: "argparse.Namespace") -> int:
    """Show the gateway key, which callers of a remote gateway send as x-gateway-key."""
    from claude_gatewayd.paths import gateway_key_file

    file = gateway_key_file(os.environ)
    try:
        found = file.read_text().strip()
    except OSError as error:
        raise GatewayError(f"cannot read the gateway key in {file}: {error.strerror}", "claude-gatewayd") from None
    show({"key": found, "file": str(file)}, found, in_json=arguments.json)
    return DONE


def version(arguments: "argparse.Namespace") -> int:
    """Show the versions of this program and of the running daemon."""
    mine = claude_gatewayd.__version__
    try:
        running = client.ask("version")["version"]
    except client.NotRunning:
        running = None
    show(
        {"version": mine, "daemon": running},
        f"claude-gatewayctl {mine}, daemon {running or 'not running'}",
        in_json=arguments.json,
    )
    return DONE
