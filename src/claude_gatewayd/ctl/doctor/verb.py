"""The verb that diagnoses this machine, and fixes what is safe to fix."""

import argparse
import os
from pathlib import Path

from claude_gatewayd import paths
from claude_gatewayd.ctl import daemon, ensure_running
from claude_gatewayd.ctl.claude_code import edit_settings
from claude_gatewayd.ctl.claude_code.verbs import remote_gateway, this_gateway
from claude_gatewayd.ctl.doctor.checks import Context
from claude_gatewayd.ctl.doctor.examine import examine
from claude_gatewayd.ctl.doctor.finding import Finding
from claude_gatewayd.ctl.terminal.output import DONE, NO, add_json_flag, show
from claude_gatewayd.ctl.terminal.progress import Progress
from claude_gatewayd.ctl.terminal.text import counted
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import client
from claude_gatewayd.printable import one_line

_MARKS = {"ok": "ok", "note": "note", "fail": "FAIL"}
_STYLES = {"ok": "green", "note": "yellow", "fail": "bold red"}


def doctor_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `doctor` takes."""
    parser.add_argument("--fix", action="store_true", help="fix what can be fixed safely, then check again")
    parser.add_argument(
        "--deep",
        action="store_true",
        help="also send a one-token request through each lane, with your own credential",
    )
    add_json_flag(parser)


def doctor(arguments: argparse.Namespace) -> int:
    """Diagnose problems and name the command that fixes each; exit 1 if a check fails."""
    found = _diagnose(deep=arguments.deep)
    fixed = []
    if arguments.fix:
        for finding in found:
            if finding.remedy and finding.state != "ok":
                fixed.append(_fix(finding))
        found = _diagnose(deep=arguments.deep) if fixed else found
    report = {"healthy": not _failed(found), "findings": [one.as_dict() for one in found], "fixed": fixed}
    plain = "\n".join([*fixed, *_lines(found), _summary(found)])
    show(
        report,
        plain,
        lambda _: "\n".join([*map(one_line, fixed), _table(found), _summary(found)]),
        in_json=arguments.json,
    )
    return NO if _failed(found) else DONE


def _diagnose(*, deep: bool) -> list[Finding]:
    status, why_not, mend = None, "", ""
    try:
        status = client.ask("status", 3.0)
    except client.NotRunning:
        why_not = "is not running"
    except GatewayError as error:
        why_not, mend = error.message, error.hint
    context = Context.gather(os.environ, paths.working_directory(os.environ), status, why_not, mend, deep=deep)
    with Progress("Sending a request through each lane; LiteLLM may have to load first" if deep else "Checking"):
        return examine(context)


def _fix(finding: Finding) -> str:
    """Apply one remedy; return the outcome."""
    try:
        match finding.remedy:
            case "start":
                ensure_running.ensure()
            case "reload":
                if not client.ask("reload", daemon.RELOAD_WITHIN)["applied"]:
                    return f"Not fixed: {finding.mend}: the configuration is refused"
            case "configure-claude":
                edit_settings.configure(os.environ, remote_gateway() or this_gateway(make_key=True))
            case "private":
                path = Path(finding.target)
                path.chmod(0o700 if path.is_dir() else 0o600)
    except (GatewayError, OSError) as error:
        return f"Not fixed: {finding.mend}: {error}"
    return f"Fixed: {finding.check} {finding.found}"


def _failed(found: list[Finding]) -> bool:
    return any(one.state == "fail" for one in found)


def _lines(found: list[Finding]) -> list[str]:
    width = max(len(one.check) for one in found)
    lines = []
    for one in found:
        lines.append(f"{_MARKS[one.state]:<5} {one.check:<{width}}  {one.found}")
        margin = " " * (width + 8)
        lines += [f"{margin}{text}" for text in (one.why, one.mend) if text]
    return lines


def _table(found: list[Finding]) -> str:
    from claude_gatewayd.ctl.terminal import tables

    def row(one: Finding) -> list[tables.Cell]:
        mark, name = [(_MARKS[one.state], _STYLES[one.state])], [(one.check, "bold")]
        return [mark, name, [(one.found, ""), (one.why, "dim"), (one.mend, tables.COMMAND)]]

    return tables.drawn(("", "check", "finding"), map(row, found))


def _summary(found: list[Finding]) -> str:
    count = {state: sum(one.state == state for one in found) for state in _MARKS}
    if not count["fail"] and not count["note"]:
        return f"All {count['ok']} checks passed"
    return f"{count['ok']} ok, {counted(count['note'], 'note')}, {count['fail']} failed"
