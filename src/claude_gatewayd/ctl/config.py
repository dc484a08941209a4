"""The verbs of config.toml: show, set, unset, check, path."""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from claude_gatewayd import paths
from claude_gatewayd.config import edit as config_edit
from claude_gatewayd.config import loading as configuration
from claude_gatewayd.config import values as config_values
from claude_gatewayd.config.file import Document, document_of, has_password, read_document
from claude_gatewayd.config.keys import KEYS, TABLES
from claude_gatewayd.config.showing import shown
from claude_gatewayd.ctl import daemon
from claude_gatewayd.ctl.terminal import colour
from claude_gatewayd.ctl.terminal.output import CONFIGURATION, DONE, add_json_flag, show
from claude_gatewayd.errors import ConfigInvalid, GatewayError
from claude_gatewayd.ipc import client
from claude_gatewayd.system import files

# The supervisor has bound these; a new generation cannot change them.
_NEEDS_RESTART = {("listen", "host"), ("listen", "port")}


def config_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `config` takes."""
    added = parser.add_subparsers(metavar="WHAT", required=True)

    def add(name: str, summary: str, what: Any) -> argparse.ArgumentParser:
        one = added.add_parser(name, help=summary, description=summary)
        one.set_defaults(what=what)
        return one

    add_json_flag(
        add("show", "Show the values in effect and where each comes from, in the form of a config.toml.", _show)
    )
    one = add(
        "set", "Set a value, such as listen.port 47001. Comments are kept; an invalid result is not written.", _set
    )
    one.add_argument("key", metavar="KEY", help="SECTION.NAME, as in `config show`")
    one.add_argument(
        "value", metavar="VALUE", help="as in an environment variable: text without quotes, lists with commas"
    )
    one.add_argument("--reload", action="store_true", help="reload the running daemon afterwards")
    one = add("unset", "Remove a value from the file, so that its default applies.", _unset)
    one.add_argument("key", metavar="KEY")
    one.add_argument("--reload", action="store_true", help="reload the running daemon afterwards")
    one = add("check", "Report every problem in the configuration; exit 78 if there is one.", _check)
    one.add_argument("file", metavar="FILE", nargs="?", help="check this file instead of the one in use")
    add_json_flag(one)
    add_json_flag(add("path", "Show the path of the configuration file, whether it exists or not.", _path))


def config(arguments: argparse.Namespace) -> int:
    """Show, change or check the configuration."""
    code: int = arguments.what(arguments)
    return code


def _show(arguments: argparse.Namespace) -> int:
    found = configuration.effective(os.environ)
    path = paths.config_path(os.environ)
    report = {
        "path": str(path),
        "exists": path.exists(),
        "values": [{"key": f"{one.section}.{one.name}", "value": shown(one), "from": one.where} for one in found],
    }
    show(report, _as_toml(found), colour.toml, in_json=arguments.json)
    return DONE


def _set(arguments: argparse.Namespace) -> int:
    section, name = _key(arguments.key)
    key = next((one for one in KEYS if (one.section, one.name) == (section, name)), None)
    from_text = key.from_text if key is not None else TABLES[section]
    value = from_text(arguments.value)
    path, data, document = _file()
    changed = config_edit.put(data.decode("utf-8-sig"), section, name, value)
    kept = _write(path, data, changed, document)
    shown = config_values.shown(value) if isinstance(value, str) and "@" in value else config_edit.rendered(value)
    print(f"{path}: [{section}] {name} = {shown}")
    return _after(arguments, section, name, kept, changed)


def _unset(arguments: argparse.Namespace) -> int:
    section, name = _key(arguments.key)
    path, data, document = _file()
    text = data.decode("utf-8-sig")
    changed = config_edit.drop(text, section, name)
    if changed.text == text:
        print(f"Nothing to change: {path} does not set [{section}] {name}")
        return DONE
    kept = _write(path, data, changed, document)
    print(f"{path}: [{section}] {name} is no longer set")
    return _after(arguments, section, name, kept, changed)


def _check(arguments: argparse.Namespace) -> int:
    environ = dict(os.environ)
    if arguments.file:
        environ["CLAUDE_GATEWAY_CONFIG"] = str(paths.absolute(arguments.file))
    path = paths.config_path(environ)
    try:
        where = _checked(environ, overrides=not arguments.file) or f"no {path}, using defaults"
    except ConfigInvalid as invalid:
        if not arguments.json:
            raise
        problems = [problem.as_dict() for problem in invalid.problems]
        show({"path": str(path), "problems": problems}, "", in_json=arguments.json)
        return CONFIGURATION
    show({"path": str(path), "problems": []}, f"{where}: valid", in_json=arguments.json)
    return DONE


def _checked(environ: dict[str, str], *, overrides: bool) -> str:
    """Return the file that was found valid, "" if there is none. Raises ConfigInvalid."""
    document = read_document(environ)
    problems = configuration.evaluate(document, configuration.without_overrides(environ))[1]
    if overrides:
        config, found = configuration.evaluate(document, environ)
        problems += [problem for problem in (*found, *config.aws_problems) if problem not in problems]
    if problems:
        raise ConfigInvalid(problems)
    return str(document.source or "")


def _path(arguments: argparse.Namespace) -> int:
    path = paths.config_path(os.environ)
    show({"path": str(path), "exists": path.exists()}, str(path), in_json=arguments.json)
    return DONE


def write(values: Mapping[tuple[str, str], object]) -> tuple[Path, Path | None]:
    """Set all of *values* in the file, or none. Returns the file and the backup of the previous one."""
    path, data, document = _file()
    changed = config_edit.EditedText(data.decode("utf-8-sig"), comments_kept=True)
    for (section, name), value in values.items():
        changed = config_edit.put(changed.text, section, name, value)
    return path, _write(path, data, changed, document)


def _key(text: str) -> tuple[str, str]:
    """Return section and name. Raises GatewayError with a suggestion."""
    for table in TABLES:
        if text.startswith(f"{table}.") and (name := text[len(table) + 1 :].strip("\"'")):
            return table, name
    section, _, name = text.partition(".")
    known = [f"{key.section}.{key.name}" for key in KEYS]
    if text in known:
        return section, name
    owners = [one for one in known if one.partition(".")[2] == text]
    hint = f'did you mean "{owners[0]}"?' if owners else config_values.suggest(text, known)
    raise GatewayError(f"cannot set {text}: there is no such key", hint or "claude-gatewayctl config show")


def _file() -> tuple[Path, bytes, Document]:
    """Return the configuration file, its bytes, and the parsed document. Raises ConfigInvalid if it is not TOML."""
    path = paths.config_path(os.environ)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        data = b""
    except OSError as error:
        raise GatewayError(f"cannot read {path}: {error.strerror}", f"ls -ld {quote(str(path))}") from None
    return path, data, document_of(path, data)


def _write(path: Path, data: bytes, changed: config_edit.EditedText, before: Document) -> Path | None:
    """Write the file if it is valid as a whole, environment variables aside; else raise ConfigInvalid.

    Returns the backup of the previous one.
    """
    new = changed.text.encode()
    environ = configuration.without_overrides(os.environ)
    problems = configuration.evaluate(document_of(path, new), environ)[1]
    if problems:
        others = configuration.evaluate(before, environ)[1]
        print(f"Nothing was written{': fix the other problems first' if others else ''}.", file=sys.stderr)
        raise ConfigInvalid(problems)
    try:
        kept = files.keep(data, path.name, paths.state_dir(os.environ) / "backups") if data else None
        files.replace(path, new)
        if has_password(changed.text):
            path.chmod(0o600)
    except OSError as error:
        place = error.filename or path
        raise GatewayError(f"cannot write {place}: {error.strerror}", f"ls -ld {quote(str(path.parent))}") from None
    return kept


def _after(
    arguments: argparse.Namespace, section: str, name: str, kept: Path | None, changed: config_edit.EditedText
) -> int:
    """Print the backup, what overrides the new value, and how it takes effect."""
    if kept is not None:
        print(f"  backup: {kept}")
        if not changed.comments_kept:
            print("  comments that could not be kept are in the backup")
    key = next((one for one in KEYS if (one.section, one.name) == (section, name)), None)
    for variable in key.variables if key else ():
        if os.environ.get(variable, "").strip():
            print(f"  {variable} in this shell overrides the file")
    try:
        client.ask("version")
    except client.NotRunning:
        return DONE
    if (section, name) in _NEEDS_RESTART:
        print("Takes effect once the daemon has been stopped and started again: claude-gatewayctl stop")
    elif arguments.reload:
        return daemon.hand_over()
    else:
        print("Takes effect after: claude-gatewayctl reload")
    return DONE


def _as_toml(found: list[configuration.Setting]) -> str:
    lines: list[str] = []
    section = ""
    for one in found:
        if one.section != section:
            section = one.section
            lines += [""] * bool(lines) + [f"[{section}]"]
        name = one.name if one.name.replace("-", "").replace("_", "").isalnum() else config_edit.rendered(one.name)
        lines.append(f"{name} = {config_edit.rendered(shown(one))}".ljust(47) + f" # {one.where}")
    return "\n".join(lines)
