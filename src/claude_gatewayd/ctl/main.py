"""`claude-gatewayctl`: one function a verb.

Exit codes: 0 done, 1 the answer is no, 2 usage, 3 the daemon is not running, 78 configuration. They never depend
on --json. Nothing heavy is imported here: a test holds the list.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import claude_gatewayd
from claude_gatewayd.ctl import client, text
from claude_gatewayd.errors import GatewayError

DONE, NO, NOT_RUNNING = 0, 1, 3

_RELOAD_WITHIN = 180.0  # a generation's cold start, and one reload before ours
_STOP_PATIENCE = 0.1


def status(arguments: argparse.Namespace) -> int:
    """Show what is: state, generations, Anthropic, requests, memory."""
    said = client.ask("status")
    _show(arguments, said, text.status(said, time.time()))
    return DONE


def health(arguments: argparse.Namespace) -> int:
    """Say whether one may rely on the gateway; exit 1 if not."""
    said = client.ask("health")
    _show(arguments, said, "healthy" if said["healthy"] else f"not healthy: {said['why']}")
    return DONE if said["healthy"] else NO


def reload(_arguments: argparse.Namespace) -> int:
    """Start a new generation and hand over to it; exit 1 and say why if it could not."""
    if sys.stderr.isatty():
        print("A new generation starts; the old one serves meanwhile ...", file=sys.stderr, flush=True)
    said = client.ask("reload", _RELOAD_WITHIN)
    if said["applied"]:
        print(f"Reloaded in {said['seconds']:.2f} s: generation {said['generation']} serves")
        return DONE
    print("Not reloaded, nothing has changed:", file=sys.stderr)
    print(text.problems(said["problems"]), file=sys.stderr)
    return NO


def stop(arguments: argparse.Namespace) -> int:
    """Finish what is under way, then end; with --now, end at once."""
    begun = time.monotonic()
    said = client.ask("stop")
    if arguments.now:
        client.ask("stop")
    if said["under_way"] and not arguments.now:
        under_way = text.counted(said["under_way"], "request")
        print(f"Stopping: {under_way} under way (claude-gatewayctl stop --now cuts what is left)", flush=True)
    while _alive(said["pid"]) and client.lock_is_held():
        time.sleep(_STOP_PATIENCE)
    print(f"Stopped after {time.monotonic() - begun:.1f} s")
    return DONE


def key(arguments: argparse.Namespace) -> int:
    """Show the gateway key, which callers of a remote gateway send as x-gateway-key."""
    from claude_gatewayd.paths import gateway_key_file

    file = gateway_key_file(os.environ)
    try:
        found = file.read_text().strip()
    except OSError as error:
        raise GatewayError(
            f"cannot read the gateway key in {file}: {error.strerror}", "start the daemon once: claude-gatewayd"
        ) from None
    _show(arguments, {"key": found, "file": str(file)}, found)
    return DONE


def version(arguments: argparse.Namespace) -> int:
    """Show the version of this program and of the running daemon."""
    mine = claude_gatewayd.__version__
    try:
        running = client.ask("version")["version"]
    except client.NotRunning:
        running = None
    _show(
        arguments, {"version": mine, "daemon": running}, f"claude-gatewayctl {mine}, daemon {running or 'not running'}"
    )
    return DONE


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _show(arguments: argparse.Namespace, said: dict[str, Any], plain: str) -> None:
    print(json.dumps(said, indent=2) if arguments.json else plain)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="claude-gatewayctl",
        description="Your hand on claude-gatewayd.",
        epilog="Exit codes: 0 done, 1 the answer is no, 2 usage, 3 the daemon is not running, 78 configuration.",
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    def verb(action: Callable[[argparse.Namespace], int], *, reads: bool) -> argparse.ArgumentParser:
        summary = (action.__doc__ or "").strip()
        added = verbs.add_parser(action.__name__, help=summary, description=summary)
        if reads:
            added.add_argument("--json", action="store_true", help="print JSON, whose fields are stable")
        added.set_defaults(action=action)
        return added

    verb(status, reads=True)
    verb(health, reads=True)
    verb(reload, reads=False)
    verb(stop, reads=False).add_argument("--now", action="store_true", help="cut what is under way")
    verb(key, reads=True)
    verb(version, reads=True)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Carry out one verb. Returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        action: Callable[[argparse.Namespace], int] = arguments.action
        code = action(arguments)
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            _leave_stdout()
        return code
    except GatewayError as error:
        print(error.message[:1].upper() + error.message[1:], file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
        return NOT_RUNNING if isinstance(error, client.NotRunning) else NO
    except BrokenPipeError:
        _leave_stdout()
        return DONE
    except KeyboardInterrupt:
        return 130


def _leave_stdout() -> None:
    """Nobody reads it any more: let nothing that is still in its buffer fail at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
