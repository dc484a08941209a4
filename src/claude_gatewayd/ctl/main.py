"""`claude-gatewayctl`: one function a verb.

A verb's function is in the module that the table names, which is imported for it alone: so each verb costs what it
needs. NAME(arguments) carries it out and returns the exit status, NAME_arguments(parser) declares what it takes.

Exit codes: 0 done, 1 the answer is no, 2 usage, 3 the daemon is not running, 78 configuration. They never depend
on --json. Nothing heavy is imported here: a test holds the list. Without a verb it says how things are, and what next.
"""

import argparse
import os
import sys
from importlib import import_module
from keyword import iskeyword
from typing import Any

from claude_gatewayd import printable
from claude_gatewayd.ctl.terminal import colour
from claude_gatewayd.ctl.terminal.output import CONFIGURATION, DONE, NO, NOT_RUNNING, USAGE
from claude_gatewayd.errors import ConfigInvalid, GatewayError, of_file, sentence
from claude_gatewayd.ipc.client import NotRunning

# A theme, and its verbs: name, module, summary.
VERBS = {
    "begin": (
        (
            "setup",
            "setup.verb",
            "Set all up in one guided run: AWS, configuration, service, login, Claude Code, a test.",
        ),
    ),
    "use Claude Code through the gateway": (
        ("run", "claude_code.run", "Become Claude Code through the gateway, which is started if it does not run."),
        (
            "configure-claude",
            "claude_code.verbs",
            "Point Claude Code at this gateway, in its settings.json; twice is once.",
        ),
        ("remove-claude", "claude_code.verbs", "Take what is ours out of settings.json, and put back what was there."),
    ),
    "see how the daemon is, and let it take up a change": (
        ("status", "daemon", "Show what is: state, generations, Anthropic, requests, memory."),
        ("statusline", "statusline", "Say in one line who serves: for Claude Code's status line."),
        ("health", "daemon", "Say whether one may rely on the gateway; exit 1 if not."),
        ("reload", "daemon", "Start a new generation and hand over to it; exit 1 and say why if it could not."),
        ("key", "daemon", "Show the gateway key, which callers of a remote gateway send as x-gateway-key."),
        ("version", "daemon", "Show the version of this program and of the running daemon."),
    ),
    "have it run: the service of systemd or launchd": (
        (
            "install",
            "service.install",
            "Install the service of systemd or launchd, start it, and wait until it serves.",
        ),
        (
            "uninstall",
            "service.install",
            "Stop the service and take away what install made; with --purge, all there is.",
        ),
        ("start", "service.verbs", "Start the service, and wait until it serves."),
        ("stop", "service.verbs", "Finish what is under way, then end; with --now, end at once."),
        ("restart", "service.verbs", "Start the program anew, and wait until it serves; nobody is refused meanwhile."),
        ("upgrade", "service.upgrade", "Put another version into the place of the running one; --rollback goes back."),
        ("enable", "service.verbs", "Let the service start when you log in."),
        ("disable", "service.verbs", "Let the service no longer start when you log in; what runs goes on."),
        ("logs", "service.verbs", "Show the log: of the journal, or of our own file on macOS."),
    ),
    "keep AWS ready to step in": (
        ("sso-login", "aws.sso", "Log in to AWS by SSO, in the browser or by a code."),
        ("sso-logout", "aws.sso", "End the SSO session at AWS, and remove its token here."),
        (
            "credentials",
            "aws.credentials",
            "Show the AWS credentials behind Bedrock; with --check, ask AWS about them.",
        ),
    ),
    "configure it": (
        ("config", "config", "Show, change or check the configuration: config.toml."),
        ("import", "migrate.verb", "Move a LiteLLM proxy's set-up over, and say line by line what became of it."),
        ("completion", "service.completion", "Print the script that completes words for bash, zsh or fish."),
    ),
    "find out what is wrong, and mend it": (
        ("doctor", "doctor.verb", "Say what is wrong, why, and which command mends it; exit 1 if anything fails."),
    ),
}


def main(argv: list[str] | None = None) -> int:
    """Carry out one verb. Returns the exit status."""
    given = sys.argv[1:] if argv is None else argv
    streams = sys.stdout, sys.stderr
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
        arguments = parser(asked, *verbs[asked]).parse_args(given[1:])
        code: int = arguments.action(arguments)
        return code
    if asked.startswith("-"):
        _no_verb().parse_args(given)
    from difflib import get_close_matches

    near = get_close_matches(asked, verbs, 1)
    print(f"claude-gatewayctl has no verb {asked}", file=sys.stderr)
    print(f"  claude-gatewayctl {near[0] if near else '--help'}", file=sys.stderr)
    return USAGE


def parser(verb: str, module: str, summary: str) -> argparse.ArgumentParser:
    """Return the parser of one verb, whose module is imported for it."""
    found = import_module(f"claude_gatewayd.ctl.{module}")
    one = argparse.ArgumentParser(f"claude-gatewayctl {verb}", description=summary, formatter_class=_formatter)
    function = function_of(verb)
    takes = getattr(found, f"{function.rstrip('_')}_arguments", None)
    if takes is not None:
        takes(one)
    one.set_defaults(action=getattr(found, function))
    return one


def _formatter(prog: str) -> argparse.HelpFormatter:
    """Return argparse's own, which would ask shutil for the width: that loads three compressors, at every start."""
    try:
        width = int(os.environ.get("COLUMNS", "")) or 80
    except ValueError:
        try:
            width = os.get_terminal_size(sys.stdout.fileno()).columns
        except (OSError, ValueError):
            width = 80
    return argparse.HelpFormatter(prog, width=width - 2)


class _Overview(argparse.ArgumentParser):
    """The parser of what stands before any verb, whose help has colours."""

    def print_help(self, file: Any = None) -> None:
        """Print it."""
        super().print_help(file or printable.around(sys.stdout))


def _no_verb() -> argparse.ArgumentParser:
    """Return the parser of what stands before any verb: --help, and what is a mistake."""
    return _Overview(
        prog="claude-gatewayctl",
        usage="claude-gatewayctl [-h] [VERB ...]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=_all_verbs(),
        epilog="Exit codes: 0 done, 1 the answer is no, 2 usage, 3 the daemon is not running, 78 configuration.",
    )


def _all_verbs() -> str:
    """Return what one may want to do, and the verbs for it."""
    in_colour = colour.wanted(sys.stdout, os.environ)
    width = max(len(verb) for verbs in VERBS.values() for verb, *_ in verbs)
    lines = ["Your hand on claude-gatewayd. Without a verb: how things are, and what to do next."]
    for theme, verbs in VERBS.items():
        heading = sentence(theme)
        lines += ["", colour.ink(heading, colour.BOLD) if in_colour else heading]
        lines += [f"  {verb.ljust(width)}  {summary.removesuffix('.')}" for verb, _, summary in verbs]
    return "\n".join([*lines, "", "More about one of them: claude-gatewayctl VERB --help"])


def function_of(verb: str) -> str:
    """Return the name of a verb's function; that of a word of Python's own has a _ behind it."""
    return f"{verb}_" if iskeyword(verb) else verb.replace("-", "_")


def _leave_stdout() -> None:
    """Nobody reads it any more: let nothing that is still in its buffer fail at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
