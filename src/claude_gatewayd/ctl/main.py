"""`claude-gatewayctl`: one function a verb.

The table names the module of each verb's function, and only that module is imported: so each verb costs what it needs.
NAME(arguments) runs the verb and returns the exit status; NAME_arguments(parser) declares its arguments.

Exit codes: 0 success, 1 failure or unhealthy, 2 usage error, 3 daemon not running, 78 invalid configuration. They never
depend on --json. Nothing heavy is imported here: a test holds the list. Without a verb: the state, and what to do next.
"""

import atexit
import errno
import gc
import os
import sys
from importlib import import_module
from keyword import iskeyword
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from claude_gatewayd import printable
from claude_gatewayd.ctl.terminal import colour
from claude_gatewayd.ctl.terminal.output import CONFIGURATION, DONE, NO, NOT_RUNNING, USAGE
from claude_gatewayd.errors import ConfigInvalid, GatewayError, of_file, sentence
from claude_gatewayd.ipc.client import NotRunning

if TYPE_CHECKING:  # `status` is to answer before it would be loaded
    import argparse

# A theme, and its verbs: name, module, summary.
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))

VERBS = {
    "get started": (
        (
            "setup",
            "setup.verb",
            "Set up everything in one guided run: AWS, configuration, service, login, Claude Code, and a test.",
        ),
    ),
    "use Claude Code through the gateway": (
        ("run", "claude_code.run", "Run Claude Code through the gateway, starting the gateway if necessary."),
        (
            "configure-claude",
            "claude_code.verbs",
            "Point Claude Code at a gateway by editing its settings.json; safe to repeat.",
        ),
        ("remove-claude", "claude_code.verbs", "Undo configure-claude: restore what settings.json had before."),
        (
            "managed-settings",
            "claude_code.remote.managed_settings",
            "Print the managed settings that lead a team's Claude Code to a gateway, for an administrator.",
        ),
    ),
    "know what was used": (
        ("usage", "usage.verb", "Show what was used and what it cost: by day, model, session and more; also plotted."),
        ("ledger", "ledger.verb", "Look after the usage ledger: check, prune, export, move to another database."),
    ),
    "let a team call this gateway": (
        ("keys", "keys.verb", "Manage named keys for a gateway of a team: add, list, set, revoke, rotate."),
    ),
    "inspect and reload the daemon": (
        ("status", "daemon", "Show the daemon's state: generations, Anthropic, Bedrock, requests, memory."),
        ("statusline", "statusline", "Print one line for Claude Code's status line: which provider is serving."),
        ("dashboard", "dashboard", "Open the dashboard in the browser; --no-browser prints its one-time link."),
        ("health", "daemon", "Report whether the gateway is healthy; exit 1 if it is not."),
        (
            "reload",
            "daemon",
            "Start a generation with the current configuration and switch to it; exit 1 if that fails.",
        ),
        ("key", "daemon", "Show the gateway key, which callers of a remote gateway send as x-gateway-key."),
        ("version", "daemon", "Show the versions of this program and of the running daemon."),
    ),
    "manage the service (systemd or launchd)": (
        (
            "install",
            "service.install",
            "Install the systemd or launchd service, start it, and wait until it is serving.",
        ),
        (
            "uninstall",
            "service.install",
            "Stop the service and remove what install created; --purge removes all data as well.",
        ),
        ("start", "service.verbs", "Start the service and wait until it is serving."),
        ("stop", "service.verbs", "Finish the requests in progress, then stop; --now stops at once."),
        (
            "restart",
            "service.verbs",
            "Restart the program and wait until it is serving; no connection is refused meanwhile.",
        ),
        (
            "upgrade",
            "service.upgrade",
            "Replace the running version with another one; --rollback returns to the previous one.",
        ),
        ("enable", "service.verbs", "Start the service whenever you log in."),
        ("disable", "service.verbs", "Do not start the service when you log in; a running service keeps running."),
        ("logs", "service.verbs", "Show the log: the systemd journal, or a file on macOS."),
    ),
    "manage AWS credentials": (
        ("sso-login", "aws.sso", "Log in to AWS with SSO, in the browser or with a code."),
        ("sso-logout", "aws.sso", "End the AWS SSO session and delete its token from this machine."),
        (
            "credentials",
            "aws.credentials",
            "Show the AWS credentials used for Bedrock; --check verifies them with AWS.",
        ),
        ("models", "aws.models", "Show the models at Bedrock, how each was found, and whether it has answered."),
    ),
    "configure the gateway": (
        ("config", "config", "Show, change or check the configuration file, config.toml."),
        ("import", "migrate.verb", "Import a LiteLLM proxy's configuration and report line by line what became of it."),
        ("completion", "service.completion", "Print the completion script for bash, zsh or fish."),
    ),
    "troubleshoot": (
        ("doctor", "doctor.verb", "Diagnose problems and name the command that fixes each; exit 1 if a check fails."),
    ),
}


# Those that are asked for often, by people and by Claude Code's status line. They take switches only.
_QUICK = frozenset(("status", "statusline", "health", "models", "version"))


def program() -> int:
    """Be `claude-gatewayctl`: carry out one verb. Returns the exit status, unless the process can end at once.

    It can where nothing has loaded `threading`. Taking the interpreter apart takes 5 ms, a third of what `status` adds
    to a bare start.
    """
    gc.disable()  # nothing of what is imported is garbage
    status = main()
    if "threading" not in sys.modules:
        atexit._run_exitfuncs()
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (OSError, ValueError):
            return status  # Python itself says what is wrong
        os._exit(status)
    return status


def main(argv: list[str] | None = None) -> int:
    """Carry out one verb. Returns the exit status."""
    given = sys.argv[1:] if argv is None else argv
    streams = sys.stdout, sys.stderr
    for stream in streams:
        # surrogateescape is that of LANG=C
        if getattr(stream, "errors", "") in ("strict", "surrogateescape") and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal of another encoding has a ? then, and no traceback
    sys.stdout, sys.stderr = map(printable.guarded, streams)
    try:
        return _run(given)
    finally:
        sys.stdout, sys.stderr = streams


def _run(given: list[str]) -> int:
    try:
        code = _dispatch(given)
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            _leave_stdout()
        return code
    except GatewayError as error:
        print(error.for_people(), file=sys.stderr)
        if isinstance(error, ConfigInvalid):
            return CONFIGURATION
        return NOT_RUNNING if isinstance(error, NotRunning) else NO
    except BrokenPipeError:
        _leave_stdout()
        return DONE
    except OSError as error:  # a home that may not be read or written, where nobody has foreseen it
        if error.errno in _FULL and error.filename is None:
            _leave_stdout()
            print(f"Cannot write: {error.strerror}\n  df -h", file=sys.stderr)
            return NO
        if error.filename is None:
            raise
        print(of_file(error).for_people(), file=sys.stderr)
        return NO
    except KeyboardInterrupt:
        return 130


def _dispatch(given: list[str]) -> int:
    if not given:
        from claude_gatewayd.ctl.overview import overview

        return overview()
    verbs = {verb: (module, summary) for rows in VERBS.values() for verb, module, summary in rows}
    asked = given[0]
    if asked in verbs:
        module, summary = verbs[asked]
        arguments = _switches(asked, module, given[1:]) if asked in _QUICK else None
        if arguments is None:
            arguments = parser(asked, module, summary).parse_args(given[1:])
        gc.enable()
        code: int = arguments.action(arguments)
        return code
    if asked.startswith("-"):
        _no_verb().parse_args(given)
    from difflib import get_close_matches

    near = get_close_matches(asked, verbs, 1)
    print(f"claude-gatewayctl has no verb {asked}", file=sys.stderr)
    print(f"  claude-gatewayctl {near[0] if near else '--help'}", file=sys.stderr)
    return USAGE


class _Switches:
    """What a verb's `_arguments` needs of a parser if it takes switches only. argparse would take 5 ms of `status`."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def add_argument(self, name: str, **declared: str) -> None:
        """Declare a switch, as for argparse."""
        assert declared["action"] == "store_true"
        self.names.append(name)


def _switches(verb: str, module: str, words: list[str]) -> Any:
    """Return what argparse would of *words*; None for it to say, where one is no switch of the verb's."""
    found = import_module(f"claude_gatewayd.ctl.{module}")
    declared = _Switches()
    getattr(found, f"{verb}_arguments")(declared)
    if not set(declared.names).issuperset(words):
        return None
    given = {name.removeprefix("--").replace("-", "_"): name in words for name in declared.names}
    return SimpleNamespace(action=getattr(found, verb), **given)


def parser(verb: str, module: str, summary: str) -> "argparse.ArgumentParser":
    """Return the parser of one verb, whose module is imported for it."""
    import argparse

    found = import_module(f"claude_gatewayd.ctl.{module}")
    one = argparse.ArgumentParser(f"claude-gatewayctl {verb}", description=summary, formatter_class=_formatter)
    function = function_of(verb)
    takes = getattr(found, f"{function.rstrip('_')}_arguments", None)
    if takes is not None:
        takes(one)
    one.set_defaults(action=getattr(found, function))
    return one


def _formatter(prog: str) -> "argparse.HelpFormatter":
    """Return argparse's own, which would ask shutil for the width: that loads three compressors, at every start."""
    import argparse

    try:
        width = int(os.environ.get("COLUMNS", "")) or 80
    except ValueError:
        try:
            width = os.get_terminal_size(sys.stdout.fileno()).columns
        except (OSError, ValueError):
            width = 80
    return argparse.HelpFormatter(prog, width=width - 2)


def _no_verb() -> "argparse.ArgumentParser":
    """Return the parser of what stands before any verb: --help, and what is a mistake."""
    import argparse

    class Overview(argparse.ArgumentParser):
        """One whose help has colours."""

        def print_help(self, file: Any = None) -> None:
            """Print it."""
            super().print_help(file or printable.unguarded(sys.stdout))

    return Overview(
        prog="claude-gatewayctl",
        usage="claude-gatewayctl [-h] [VERB ...]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=_all_verbs(),
        epilog="Exit codes: 0 success, 1 failure or unhealthy, 2 usage error, 3 daemon not running, "
        "78 invalid configuration.",
    )


def _all_verbs() -> str:
    """Return what one may want to do, and the verbs for it."""
    in_colour = colour.wanted(sys.stdout, os.environ)
    width = max(len(verb) for verbs in VERBS.values() for verb, *_ in verbs)
    lines = ["Control claude-gatewayd. Without a verb, show its state and what to do next."]
    for theme, verbs in VERBS.items():
        heading = sentence(theme)
        lines += ["", colour.ink(heading, colour.BOLD) if in_colour else heading]
        lines += [f"  {verb.ljust(width)}  {summary.removesuffix('.')}" for verb, _, summary in verbs]
    return "\n".join([*lines, "", "Help for a verb: claude-gatewayctl VERB --help"])


def function_of(verb: str) -> str:
    """Return the name of a verb's function; that of a word of Python's own has a _ behind it."""
    return f"{verb}_" if iskeyword(verb) else verb.replace("-", "_")


def _leave_stdout() -> None:
    """Nobody reads it any more: let nothing that is still in its buffer fail at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(program())
