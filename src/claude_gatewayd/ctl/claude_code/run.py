"""The verb that runs Claude Code, by exec."""

import argparse
import contextlib
import json
import os
import signal
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

from claude_gatewayd import paths
from claude_gatewayd.ctl import ensure_running
from claude_gatewayd.ctl.claude_code import clients, edit_settings, obstacles, run_environment
from claude_gatewayd.ctl.claude_code.destinations import leads_to_bedrock_mode
from claude_gatewayd.ctl.claude_code.remote import gateway as remote_gateway
from claude_gatewayd.ctl.claude_code.run_environment import Run
from claude_gatewayd.ctl.claude_code.settings import GatewayTarget
from claude_gatewayd.ctl.terminal.output import DONE
from claude_gatewayd.errors import GatewayError, list_command, not_changed
from claude_gatewayd.system import files
from claude_gatewayd.system.secret_file import read_or_make_gateway_key

_KEPT_FOR = 30 * 86400.0  # a session that is open longer has read its file
# The programs this process has already exec'd: a `claude` may be a script that calls us again.
_BECAME = "CLAUDE_GATEWAYCTL_RUN"


def run_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `run` takes: all but a first --bedrock or --direct is Claude Code's, whatever it looks like."""
    parser.usage = "claude-gatewayctl run [--bedrock | --direct] [--] [claude's arguments]"
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments for claude")
    parser.epilog = (
        "--bedrock uses Claude Code's Bedrock mode, --direct bypasses the gateway. The exit status and the handling of "
        "signals are claude's."
    )
    parser.prefix_chars = "\0"
    parser.set_defaults(help=parser.format_help)


def run(arguments: argparse.Namespace) -> int:
    """Run Claude Code through the gateway, starting it if necessary; --direct bypasses it."""
    words: list[str] = arguments.arguments
    if words[:1] in (["-h"], ["--help"]):
        print(arguments.help())
        return DONE
    direct, bedrock = (words[:1] == [flag] for flag in ("--direct", "--bedrock"))
    if set(words[:2]) == {"--direct", "--bedrock"}:
        raise GatewayError(
            "cannot use Bedrock mode without the gateway: --bedrock and --direct exclude each other",
            "claude-gatewayctl run --help",
        )
    words = words[1:] if direct or bedrock else words
    words = words[1:] if words[:1] == ["--"] else words
    became = _became()
    found = clients.find(os.environ, excluding=became)
    if found is None:
        what = (
            "every claude on the PATH is a script that calls claude-gatewayctl run"
            if became
            else "it is not on the PATH"
        )
        raise GatewayError(f"cannot start claude: {what}", "npm install --global @anthropic-ai/claude-code")
    settings = _settings()
    remote = remote_gateway.in_settings(os.environ)
    elsewhere = GatewayTarget(remote.url, remote.key) if remote is not None else None
    if direct:
        ours = run_environment.around(os.environ, settings, elsewhere or edit_settings.here(os.environ))
    elif elsewhere is not None:
        if bedrock:
            raise GatewayError(
                f"cannot use Bedrock mode: Claude Code uses the gateway at {elsewhere.url}",
                "claude-gatewayctl configure-claude --bedrock",
            )
        ours = run_environment.through(os.environ, settings, elsewhere)
    else:
        status = ensure_running.ensure()
        url = edit_settings.for_callers(status["address"])
        bedrock = bedrock or leads_to_bedrock_mode({**os.environ, **settings}, url)
        target = GatewayTarget(
            url,
            read_or_make_gateway_key(paths.gateway_key_file(os.environ)),
            status["bedrock"]["region"] if bedrock else "",
        )
        ours = run_environment.through(os.environ, settings, target)
    for name in ours.left_out:
        why = (
            "it names models that Bedrock does not know" if bedrock else "it names models of Bedrock's, which AWS bills"
        )
        print(f"{name} is left out for this run: {why}", file=sys.stderr)
    environ = ours.environ | {_BECAME: os.pathsep.join([str(os.getpid()), *became, str(found)])}
    return _become(found, _with_overrides(words, ours), environ)


def _settings() -> dict[str, Any]:
    """Return what the settings files say that Claude Code would find here, the strongest having won."""
    found: dict[str, Any] = {}
    for file in (
        obstacles.settings_file(os.environ),
        *reversed(obstacles.project_files(paths.working_directory(os.environ), os.environ)),
    ):
        found |= obstacles.read_settings(file)
    return found


def _with_overrides(words: list[str], ours: Run) -> list[str]:
    """Return the arguments, with a --settings that says the overrides.

    It names a file, for all can read a command line. There are as many as there are different ones, in the runtime
    directory; where that does not end with the session, as on macOS, those that nobody has used for long are removed.
    """
    if not ours.overrides and not ours.settings:
        return words
    try:
        rest, document = run_environment.merged(words, ours, lambda name: Path(name).read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise GatewayError(f"cannot read what --settings says: {error}", "claude --help") from None
    text = json.dumps(document).encode()
    directory = paths.runtime_dir(os.environ)
    paths.make_private(directory)
    file = directory / f"run-{sha256(text).hexdigest()[:12]}.json"
    try:
        files.replace(file, text)
    except OSError as error:
        raise not_changed("write", file, error) from None
    for other in directory.glob("run-*.json"):
        with contextlib.suppress(OSError):
            if time.time() - other.stat().st_mtime > _KEPT_FOR:
                other.unlink()
    return ["--settings", str(file), *rest]


def _became() -> list[str]:
    pid, *paths_before = os.environ.get(_BECAME, "").split(os.pathsep)
    return paths_before if pid == str(os.getpid()) else []


def _become(client: Path, words: list[str], environ: dict[str, str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and so would whom we become
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execve(client, ["claude", *words], environ)  # noqa: S606 - that is what the verb is for
    except OSError as error:
        raise GatewayError(f"cannot start {client}: {error.strerror}", list_command(client)) from None
