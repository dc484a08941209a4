"""The verbs that point Claude Code at the gateway and back."""

import argparse
import json
import os
import sys
from pathlib import Path
from shlex import quote
from typing import Any

from claude_gatewayd import paths
from claude_gatewayd.config import loading as config
from claude_gatewayd.ctl import identity
from claude_gatewayd.ctl.claude_code import clients, edit_settings, obstacles
from claude_gatewayd.ctl.claude_code.destinations import ROWS, names_bedrock
from claude_gatewayd.ctl.claude_code.edit_settings import EditOutcome
from claude_gatewayd.ctl.claude_code.obstacles import Obstacle
from claude_gatewayd.ctl.claude_code.remote import asking, gateway
from claude_gatewayd.ctl.claude_code.remote.asking import RemoteAnswer
from claude_gatewayd.ctl.claude_code.settings import EXTRA_CA, Change, GatewayTarget, masked
from claude_gatewayd.ctl.terminal.output import DONE, add_json_flag, show
from claude_gatewayd.ctl.terminal.progress import Progress
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import client
from claude_gatewayd.service import environment
from claude_gatewayd.system.secret_file import read_or_make_gateway_key


def configure_claude_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `configure-claude` takes."""
    parser.add_argument("--dry-run", action="store_true", help="show what would change and change nothing")
    add_json_flag(parser)
    parser.add_argument(
        "--bedrock",
        action="store_true",
        help="use Claude Code's Bedrock mode: every turn goes to Bedrock, with the gateway's AWS keys",
    )
    parser.add_argument(
        "--statusline",
        action="store_true",
        help="show in its status line which provider is serving; remove-claude restores yours",
    )
    parser.add_argument("--url", metavar="URL", help="use the gateway at this address, on another machine")
    parser.add_argument(
        "--key-file", metavar="FILE", help="with --url: a file with that gateway's key, which only you can read"
    )


def remove_claude_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `remove-claude` takes."""
    parser.add_argument("--dry-run", action="store_true", help="show what would change and change nothing")
    add_json_flag(parser)


def configure_claude(arguments: argparse.Namespace) -> int:
    """Point Claude Code at a gateway by editing its settings.json; safe to repeat."""
    if arguments.url is not None or arguments.key_file is not None:
        return _point_elsewhere(arguments)
    return point_here(
        bedrock=arguments.bedrock, statusline=arguments.statusline, dry_run=arguments.dry_run, in_json=arguments.json
    )


def point_here(
    *, bedrock: bool | None = None, statusline: bool = False, dry_run: bool = False, in_json: bool = False
) -> int:
    """Do what `configure-claude` does, in the mode that is set unless *bedrock* says. Return the exit status."""
    target = this_gateway(make_key=not dry_run, bedrock=bedrock)
    return _point_at(target, statusline=statusline, dry_run=dry_run, in_json=in_json)


def _point_elsewhere(arguments: argparse.Namespace) -> int:
    """Point Claude Code at the gateway of --url, once that has answered and taken the key."""
    if arguments.url is None or arguments.key_file is None:
        raise GatewayError("cannot use another gateway: --url and --key-file belong together", gateway.USAGE)
    if arguments.bedrock:
        raise GatewayError("cannot use Bedrock mode with --url: it needs this machine's gateway", gateway.USAGE)
    url = gateway.url_from(arguments.url)
    key = gateway.key_from(Path(paths.expanduser(arguments.key_file, os.environ)))
    own = obstacles.variables(obstacles.settings_file(os.environ))
    with Progress(f"Asking {url}"):
        answered = asking.ask(url, key, {**os.environ, **own})
    if not answered.is_usable:
        raise GatewayError(f"cannot use {url}: {answered.why}", answered.hint)
    ca_file = str(paths.absolute(answered.ca_file)) if answered.ca_file else ""
    target = GatewayTarget(url, key, ca_file=ca_file)
    return _point_at(
        target, statusline=arguments.statusline, dry_run=arguments.dry_run, in_json=arguments.json, answered=answered
    )


def _point_at(
    target: GatewayTarget, *, statusline: bool, dry_run: bool, in_json: bool, answered: RemoteAnswer | None = None
) -> int:
    """Change settings.json, and say what was done. *answered* is how a remote gateway did."""
    line = status_line() if statusline else ""
    outcome = edit_settings.configure(os.environ, target, dry_run=dry_run, status_line=line)
    found = obstacles.find(os.environ, paths.working_directory(os.environ), target.url, outcome.text)
    running = clients.running(outcome.file) if outcome.changes and not dry_run else []
    report = as_json(outcome) | {"url": target.url, "obstacles": [one.as_dict() for one in found], "running": running}
    if answered is not None:
        report |= {"key": answered.outcome, "proxy": answered.proxy}
        report["key_name"] = answered.key.name if answered.key is not None else None
    mode = " in Bedrock mode" if target.region else ""
    lines = _head(outcome, f"Claude Code now uses {target.url}{mode}", dry_run=dry_run)
    if target.region and not dry_run:
        lines.append("AWS bills every turn; for your subscription: claude-gatewayctl configure-claude")
    if not dry_run and any(map(_asked_bedrock, outcome.changes)):
        lines.append(
            "AWS bills every turn of such a model; to ask Bedrock on purpose, append -bedrock to Anthropic's name"
        )
    if answered is not None and answered.proxy:
        lines.append(f"It is reached through the proxy {answered.proxy}")
    if answered is not None and answered.key is not None:
        lines.append(asking.described(answered.key))
    if answered is not None and answered.outcome == "unproven":
        lines.append(f"The key could not be checked: {answered.why}")
    lines += obstacles_text(found)
    lines += _restart(running)
    if outcome.others_can_read and not dry_run:
        lines.append(
            f"Other users can read this file, which holds the gateway key: chmod 600 {quote(str(outcome.file))}"
        )
    if outcome.repository is not None and outcome.changes:
        lines.append(f"The file is in a git repository, {outcome.repository}: do not commit the gateway key")
    if outcome.changes and not dry_run:
        lines.append("To undo: claude-gatewayctl remove-claude")
    show(report, "\n".join(lines), in_json=in_json)
    return DONE


def remove_claude(arguments: argparse.Namespace) -> int:
    """Undo configure-claude: restore what settings.json had before."""
    remote = gateway.in_settings(os.environ)
    target = edit_settings.here(os.environ) if remote is None else GatewayTarget(remote.url, remote.key)
    outcome = edit_settings.remove(os.environ, target, dry_run=arguments.dry_run)
    running = clients.running(outcome.file) if outcome.changes and not arguments.dry_run else []
    show(
        as_json(outcome) | {"running": running},
        describe_removal(outcome, running, dry_run=arguments.dry_run),
        in_json=arguments.json,
    )
    return DONE


def describe_removal(outcome: EditOutcome, running: list[int], *, dry_run: bool = False) -> str:
    """Return what a person is told of an undone configuration; `uninstall` says it too."""
    lines = _head(outcome, "Claude Code is configured as before", dry_run=dry_run)
    lines += [f"  {name} has been changed since and is left as it is" for name in outcome.left]
    return "\n".join([*lines, *_restart(running)])


def this_gateway(*, make_key: bool, bedrock: bool | None = None) -> GatewayTarget:
    """Return the gateway as it runs, or as it is configured where it does not run.

    It is one for Bedrock mode if *bedrock* says so; where that is None, if settings.json is in that mode. Raises
    GatewayError if somebody else answers at its address, who would get the key and the person's credential; and if
    Bedrock mode is wanted, and Bedrock is off.
    """
    status: dict[str, Any] | None = None
    try:
        status = client.ask("status")
        url, region = edit_settings.for_callers(status["address"]), status["bedrock"]["region"]
        off = "" if status["bedrock"]["enabled"] else status["bedrock"].get("why", "")
    except client.NotRunning:
        configured = config.load(environment.of_daemon(os.environ))
        url = edit_settings.url_of(configured.listen.host, configured.listen.port)
        region = configured.bedrock.region
        off = "[bedrock] enabled is false" if configured.bedrock.enabled == "false" else ""
    identity.require(url, status)
    if bedrock and off:
        raise GatewayError(f"cannot use Bedrock mode: {off}", "claude-gatewayctl doctor")
    if not (edit_settings.in_bedrock_mode(os.environ, url) if bedrock is None else bedrock):
        region = ""
    file = paths.gateway_key_file(os.environ)
    if make_key or file.exists():
        return GatewayTarget(url, read_or_make_gateway_key(file), region)
    return GatewayTarget(url, "cgw-made-at-the-first-start", region)


def remote_gateway() -> GatewayTarget | None:
    """Return the gateway on another machine that is set, with the certificates that it needs; None for none."""
    remote = gateway.in_settings(os.environ)
    if remote is None:
        return None
    own = obstacles.in_effect(os.environ)
    answered = asking.ask(remote.url, remote.key, {**os.environ, **own})
    return GatewayTarget(remote.url, remote.key, ca_file=answered.ca_file or own.get(EXTRA_CA, ""))


def status_line() -> str:
    """Return the command for Claude Code's status line: by the installation's link, which outlives an upgrade."""
    installed = paths.installation_link(os.environ) / "bin" / "claude-gatewayctl"
    beside = Path(sys.executable).with_name("claude-gatewayctl")
    ctl = next((path for path in (installed, beside) if path.exists()), Path("claude-gatewayctl"))
    return f"{quote(str(ctl))} statusline"


def as_json(outcome: EditOutcome) -> dict[str, Any]:
    """Return the form that an outcome has as JSON: without secrets."""
    return {
        "file": str(outcome.file),
        "changes": [{"name": one.name, "before": _shown(one, one.before), "after": _shown(one, one.after)}
                    for one in outcome.changes],
        "left": list(outcome.left),
        "kept": str(outcome.kept) if outcome.kept else None,
        "difference": outcome.difference,
    }  # fmt: skip


def obstacles_text(found: list[Obstacle]) -> list[str]:
    """Return the lines that name what is in the way, the harmful first."""
    lines = []
    for heading, some in (
        ("Conflicts:", [one for one in found if one.harmful]),
        ("Notes:", [one for one in found if not one.harmful]),
    ):
        if some:
            lines.append(heading)
        for one in some:
            lines.append(f"  {one.where}  {one.name}: {one.why}")
            lines.append(f"    {one.hint}")
    return lines


def _head(outcome: EditOutcome, done: str, *, dry_run: bool) -> list[str]:
    if dry_run:
        return [outcome.difference or f"Nothing would change in {outcome.file}"]
    if not outcome.changes:
        return [f"Nothing to change in {outcome.file}"]
    lines = [f"{done} ({outcome.file})"]
    for one in outcome.changes:
        before, after = _shown(one, one.before), _shown(one, one.after)
        was = f"  (was {before})" if before is not None else ""
        lines.append(f"  {one.name}  {after if after is not None else 'removed'}{was}")
    if outcome.kept is not None:
        lines.append(f"  backup: {outcome.kept}")
    return lines


def _restart(running: list[int]) -> list[str]:
    if not running:
        return []
    pids = ", ".join(map(str, running))
    return [f"Restart Claude Code (pid {pids}): it reads its settings only when it starts"]


def _asked_bedrock(one: Change) -> bool:
    row = ROWS.get(one.name)
    return row is not None and row.kind == "model" and names_bedrock(one.before)


def _shown(one: Change, value: Any) -> str | None:
    """Return a value as it may be shown, on one line."""
    if value is None:
        return None
    if isinstance(value, dict) and isinstance(value.get("command"), str):
        value = value["command"]
    if not isinstance(value, str):
        value = json.dumps(value)
    text = masked(f'"{one.name}": "{value}"'.replace("\n", "\\n"))
    return text[len(one.name) + 5 : -1]
