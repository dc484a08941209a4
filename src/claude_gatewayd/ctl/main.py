"""`claude-gatewayctl`: one function a verb.

A verb's function is in the module that the table names, which is imported for it alone: so each verb costs what it
needs. NAME(arguments) carries it out and returns the exit status, NAME_arguments(parser) declares what it takes.

Exit codes: 0 done, 1 the answer is no, 2 usage, 3 the daemon is not running, 78 configuration. They never depend
on --json. Nothing heavy is imported here: a test holds the list.
"""

import argparse
import os
import sys
from importlib import import_module
from keyword import iskeyword

from claude_gatewayd.ctl.answer import CONFIGURATION, DONE, NO, NOT_RUNNING
from claude_gatewayd.ctl.client import NotRunning
from claude_gatewayd.errors import ConfigInvalid, GatewayError

# A theme, and its verbs: name, module, summary.
VERBS = {
    "Claude Code": (
        ("run", "run", "Become Claude Code through the gateway, which is started if it does not run."),
        ("configure-claude", "claude_code", "Point Claude Code at this gateway, in its settings.json; twice is once."),
        ("remove-claude", "claude_code", "Take what is ours out of settings.json, and put back what was there."),
    ),
    "the daemon": (
        ("status", "daemon", "Show what is: state, generations, Anthropic, requests, memory."),
        ("health", "daemon", "Say whether one may rely on the gateway; exit 1 if not."),
        ("reload", "daemon", "Start a new generation and hand over to it; exit 1 and say why if it could not."),
        ("key", "daemon", "Show the gateway key, which callers of a remote gateway send as x-gateway-key."),
        ("version", "daemon", "Show the version of this program and of the running daemon."),
    ),
    "the service": (
        ("install", "install", "Install the service of systemd or launchd, start it, and wait until it serves."),
        ("uninstall", "install", "Stop the service and take away what install made; with --purge, all there is."),
        ("start", "service", "Start the service, and wait until it serves."),
        ("stop", "service", "Finish what is under way, then end; with --now, end at once."),
        ("restart", "service", "Start the program anew, and wait until it serves; nobody is refused meanwhile."),
        ("upgrade", "upgrade", "Put another version into the place of the running one; --rollback goes back."),
        ("enable", "service", "Let the service start when you log in."),
        ("disable", "service", "Let the service no longer start when you log in; what runs goes on."),
        ("logs", "service", "Show the log: of the journal, or of our own file on macOS."),
    ),
    "AWS": (
        ("sso-login", "sso", "Log in to AWS by SSO, in the browser or by a code."),
        ("sso-logout", "sso", "End the SSO session at AWS, and remove its token here."),
        ("credentials", "credentials", "Show the AWS credentials behind Bedrock; with --check, ask AWS about them."),
    ),
    "the configuration": (
        ("config", "configuring", "Show, change or check the configuration: config.toml."),
        ("import", "moving", "Move a LiteLLM proxy's set-up over, and say line by line what became of it."),
    ),
    "what is wrong": (
        ("doctor", "doctor", "Say what is wrong, why, and which command mends it; exit 1 if anything fails."),
    ),
}


def main(argv: list[str] | None = None) -> int:
    """Carry out one verb. Returns the exit status."""
    given = sys.argv[1:] if argv is None else argv
    try:
        arguments = _parser(given[0] if given else "").parse_args(given)
        code: int = arguments.action(arguments)
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            _leave_stdout()
        return code
    except ConfigInvalid as invalid:
        print("Cannot use the configuration:", file=sys.stderr)
        for problem in invalid.problems:
            print(f"  {problem}", file=sys.stderr)
        return CONFIGURATION
    except GatewayError as error:
        print(error.message[:1].upper() + error.message[1:], file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
        return NOT_RUNNING if isinstance(error, NotRunning) else NO
    except BrokenPipeError:
        _leave_stdout()
        return DONE
    except KeyboardInterrupt:
        return 130


def _parser(asked: str) -> argparse.ArgumentParser:
    """Return a parser that knows all verbs by name, and *asked*, the one that is wanted, in full."""
    themes = "\n".join(f"  {theme}: {', '.join(verb[0] for verb in verbs)}" for theme, verbs in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="claude-gatewayctl",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f"Your hand on claude-gatewayd.\n\n{themes}",
        epilog="Exit codes: 0 done, 1 the answer is no, 2 usage, 3 the daemon is not running, 78 configuration.",
    )
    added = parser.add_subparsers(metavar="VERB", required=True)
    for name, module, summary in (verb for verbs in VERBS.values() for verb in verbs):
        one = added.add_parser(name, help=summary, description=summary)
        if name == asked:
            _declare(one, function_of(name), module)
    return parser


def function_of(verb: str) -> str:
    """Return the name of a verb's function; that of a word of Python's own has a _ behind it."""
    return f"{verb}_" if iskeyword(verb) else verb.replace("-", "_")


def _declare(parser: argparse.ArgumentParser, function: str, module: str) -> None:
    found = import_module(f"claude_gatewayd.ctl.{module}")
    declare = getattr(found, f"{function.rstrip('_')}_arguments", None)
    if declare is not None:
        declare(parser)
    parser.set_defaults(action=getattr(found, function))


def _leave_stdout() -> None:
    """Nobody reads it any more: let nothing that is still in its buffer fail at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
