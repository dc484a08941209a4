"""The verb that imports a LiteLLM proxy's configuration."""

import argparse
import os
import re
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Any

from claude_gatewayd import paths, printable
from claude_gatewayd.config import edit as config_edit
from claude_gatewayd.config import loading as config
from claude_gatewayd.config.file import document_of, has_password
from claude_gatewayd.ctl.migrate import known_keys, ledger_question, project_files, translate
from claude_gatewayd.ctl.migrate.comparison import record
from claude_gatewayd.ctl.migrate.document import LiteLLMDocument
from claude_gatewayd.ctl.migrate.draft import MigratedConfig
from claude_gatewayd.ctl.migrate.proxy import LEFT, read
from claude_gatewayd.ctl.migrate.translation import OPEN_ENDS, YOURS, Translation
from claude_gatewayd.ctl.terminal.output import DONE, USAGE, add_json_flag, show
from claude_gatewayd.ctl.terminal.text import counted
from claude_gatewayd.errors import ConfigInvalid, not_changed
from claude_gatewayd.service import environment
from claude_gatewayd.system import files

_SECRET = re.compile(
    r"(?:key|token|secret|passw(?:or)?d|passphrase|pwd|credentials?|auth|authorization|cookie|headers"
    r"|(?:slack|webhook|database|redis)_ur[il]|webhook|dsn)(?:_id)?\Z",
    re.IGNORECASE,
)


def import_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `import` takes."""
    parser.add_argument(
        "file", nargs="?", metavar="PATH/config.yaml", help="the proxy's config.yaml, or the directory it is in"
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be written and write nothing")
    parser.add_argument(
        "--forget", action="store_true", help="end doctor's comparison with what was imported; changes nothing else"
    )
    parser.add_argument(
        "--ledger-there", action="store_true", help="keep the usage ledger in the proxy's PostgreSQL (else: asked once)"
    )
    add_json_flag(parser)


def import_(arguments: argparse.Namespace) -> int:
    """Read a LiteLLM proxy's configuration, write what it comes to here, and say so line by line."""
    if (arguments.file is None) != arguments.forget:
        print("claude-gatewayctl import: give either PATH/config.yaml or --forget", file=sys.stderr)
        return USAGE
    if arguments.forget:
        return _forget(in_json=arguments.json)
    wish = True if arguments.ledger_there else None
    asks = sys.stdin.isatty() and sys.stdout.isatty() and not arguments.dry_run and not arguments.json
    return carry_over(
        Path(arguments.file), dry_run=arguments.dry_run, in_json=arguments.json, ledger_there=wish, asks=asks
    )


def carry_over(
    named: Path, *, dry_run: bool = False, in_json: bool = False, ledger_there: bool | None = None, asks: bool = False
) -> int:
    """Do what `import` does with a file, or with that of a directory; return the exit status.

    *ledger_there* is whether the usage ledger is kept in the proxy's PostgreSQL, None if nobody has said so: then it is
    a file, unless the person who *asks* lets answers otherwise.
    """
    proxy = read(named)
    file, old = proxy.file, proxy.document
    migrated = proxy.translate()
    url = migrated.database_url
    if asks and url and ledger_there is None and not ledger_question.is_answered(os.environ):
        ledger_there = ledger_question.ask(url)
    if ledger_there:
        ledger_question.require_usable(url)
        migrated = proxy.translate(keeps_ledger_there=True)
    elif ledger_there is False:
        migrated.values[known_keys.LEDGER_BY_VARIABLE] = False
    translations = [_placed(old, one) for one in migrated.translations]
    translations += [*proxy.notes, *project_files.look(file.parent, ledger_in_database=bool(ledger_there))]
    left = _left(migrated, file)
    target = paths.config_path(os.environ)
    before = target.read_bytes() if target.exists() else b""
    text = _config(migrated, before.decode("utf-8-sig"), file, file.parent / LEFT if left else None)
    writes = [(file.parent / LEFT, left)] * bool(left) + [(target, text)] * (text.encode() != before)
    writes += _secrets(migrated)
    kept = [] if dry_run else [_write(path, new) for path, new in writes]
    names = record.names_of(old.values, proxy.environ)
    if names and not dry_run:
        record.add(file, names)
    report = {
        "file": str(file),
        "lines": [
            {
                "file": str(where),
                "line": one.line,
                "what": one.item,
                "verdict": one.verdict,
                "says": one.explanation,
            }
            for where, one in translations
        ],
        "written": [] if dry_run else [str(path) for path, _ in writes],
        "kept": [str(path) for path in kept if path is not None],
    }
    lines = []
    for number, (path, new) in enumerate(writes):
        if dry_run:
            shown = _shown(path, new, migrated, file)
            lines += [f"Would write {path}:", *(f"  {line}".rstrip() for line in shown.splitlines())]
        else:
            copy = kept[number]
            lines.append(f"Wrote {path}" + (f" (backup: {copy})" if copy else ""))
    if not writes:
        lines.append(f"Nothing to write: {target} is up to date" if text else "Nothing to write")
    if url and ledger_there is None and not ledger_question.is_answered(os.environ):
        lines.append(
            f"The usage ledger can be kept in {ledger_question.described(url)}: "
            f"claude-gatewayctl import {quote(str(file))} --ledger-there"
        )
    rest = "\n".join([*lines, *_next(translations, _for_the_service(left), is_imported=bool(text))])
    plain = "\n".join([*_table(translations), rest])
    show(report, plain, lambda _: f"{_drawn(translations)}\n{printable.lines(rest)}", in_json=in_json)
    return DONE


def _forget(*, in_json: bool) -> int:
    forgotten = record.forget()
    lines = [f"Forgot what was imported from {file}: doctor no longer compares" for file in forgotten]
    show({"forgotten": forgotten}, "\n".join(lines) or "Nothing to forget: nothing was imported", in_json=in_json)
    return DONE


def _placed(old: LiteLLMDocument, translation: Translation) -> tuple[Path, Translation]:
    """Return the file that a translation is about, and the translation with its line there."""
    file, line = old.where(translation.line)
    item = translation.item if file in old.included else translation.item.removeprefix("environment_variables.")
    return file, replace(translation, line=line, item=item)


def _config(migrated: MigratedConfig, text: str, file: Path, left: Path | None) -> str:
    """Return config.toml with what was carried over. Raises ConfigInvalid."""
    target = paths.config_path(os.environ)
    before: dict[str, Any] = document_of(target, text.encode()).tables  # type: ignore[assignment]
    values = dict(migrated.values)
    if left is not None:
        values["litellm", "config"] = str(left)
    wanted = {place for place, _ in translate.differing(values.items())}
    wanted |= values.keys() & {known_keys.LEDGER_BY_VARIABLE}  # an answer, though it is the default: it is asked once
    if not text and wanted:
        text = f"# Imported from {file} by claude-gatewayctl import.\n"
    for (section, name), value in values.items():
        table: Any = before
        for part in section.split("."):
            table = table.get(part, {})
        if ((section, name) in wanted or name in table) and table.get(name) != value:
            text = config_edit.put(text, section, name, value).text
    tomllib.loads(text)
    problems = config.evaluate(document_of(target, text.encode()), config.without_overrides(os.environ))[1]
    if problems:
        raise ConfigInvalid(problems)
    return text


def _left(migrated: MigratedConfig, file: Path) -> str:
    """Return the configuration that LiteLLM goes on with, "" where nothing is left."""
    return _yaml(migrated.litellm, file) if migrated.litellm else ""


def _yaml(document: Any, file: Path) -> str:
    import yaml  # LiteLLM's own

    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return f"# The part of {file.name} that LiteLLM still uses. Written by claude-gatewayctl import.\n{text}"


def _secrets(migrated: MigratedConfig) -> list[tuple[Path, str]]:
    """Return the file that the service gets its environment from, with the secrets of the old configuration."""
    file = paths.environment_file(os.environ)
    before = environment.stored(os.environ)
    if all(before.get(name) == value for name, value in migrated.secrets.items()):
        return []
    text = file.read_text() if file.exists() else ""
    return [(file, environment.render({**before, **migrated.secrets}, text))]


def _shown(path: Path, text: str, migrated: MigratedConfig, file: Path) -> str:
    """Return a file as it may be shown."""
    if path == paths.environment_file(os.environ):
        return "\n".join(
            environment.shown(name, value, migrated.secrets) for name, value in environment.read(text).items()
        )
    return masked(_yaml(without_secrets(migrated.litellm), file) if path.name == LEFT else text)


def _write(path: Path, text: str) -> Path | None:
    """Write a file; return where the one before is kept, if there was another."""
    new = text.encode()
    try:
        before = path.read_bytes() if path.exists() else b""
        if before == new:
            return None
        kept = files.keep(before, path.name, paths.state_dir(os.environ) / "backups") if before else None
        files.replace(path, new)
        if path == paths.environment_file(os.environ) or has_password(text):
            path.chmod(0o600)
    except OSError as error:
        raise not_changed("write", path, error) from None
    return kept


def without_secrets(value: Any, name: str = "") -> Any:
    """Return what YAML has said, without what may be a secret: by the name of its key, at any depth."""
    if isinstance(value, dict):
        # what is below such a name is as secret: headers have names of all kinds
        return {key: without_secrets(inner, name if _SECRET.search(name) else str(key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_secrets(inner, name) for inner in value]
    if isinstance(value, str) and _SECRET.search(name) and not value.startswith("os.environ/"):
        return "***"
    return masked(value) if isinstance(value, str) else value


def masked(text: str) -> str:
    """Return YAML, TOML or a sentence as it may be shown: without what may be a secret."""
    name = r"[\w.-]*(?:key|token|secret|passw(?:or)?d|pwd)"
    line = rf"^(\s*-?\s*[\"']?{name}[\"']?\s*[:=]\s*)(?!\s*[\"']?os\.environ/)(\S.*)$"
    text = re.sub(line, r"\1***", text, flags=re.IGNORECASE | re.MULTILINE)
    return re.sub(r"(://)[^/\s\"'@]*@", r"\1***@", text)


def _rows(translations: list[tuple[Path, Translation]]) -> list[tuple[str, str, str, str]]:
    return [
        (
            f"{where.name}:{one.line}",
            printable.one_line(one.item),
            one.verdict,
            printable.one_line(masked(one.explanation)),
        )
        for where, one in translations
    ]


def _drawn(translations: list[tuple[Path, Translation]]) -> str:
    from claude_gatewayd.ctl.terminal import tables

    def row(place: str, what: str, verdict: str, says: str) -> list[tables.Cell]:
        style = "yellow" if verdict in OPEN_ENDS else "green"
        return [[(place, "dim")], [(what, "bold")], [(verdict, style)], [(says, "")]]

    return tables.drawn(("line", "what", "became", ""), (row(*cells) for cells in _rows(translations)))


def _table(translations: list[tuple[Path, Translation]]) -> list[str]:
    rows = _rows(translations)
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    return ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows]


def _for_the_service(left: str) -> list[str]:
    """Return the variables that LiteLLM's part names, which this shell has and the service has not."""
    stored = environment.stored(os.environ)
    return [name for name in environment.references(left) if os.environ.get(name) not in (None, "", stored.get(name))]


def _next(translations: list[tuple[Path, Translation]], variables: list[str], *, is_imported: bool) -> list[str]:
    open_ends = sum(one.verdict in OPEN_ENDS for _, one in translations)
    lines = []
    if open_ends:
        count = counted(open_ends, "line needs", "lines need")
        lines.append(f"{count} your attention: see changed, yours to do and not understood.")
    if variables:
        lines.append(
            f"A service needs {', '.join(variables)} of this shell: claude-gatewayctl install takes them over."
        )
    if not is_imported and any(one.verdict == YOURS for _, one in translations):
        return [*lines, "Next: what is yours to do, and import again; the proxy is still needed"]
    return [*lines, "Next: stop the proxy, then claude-gatewayctl setup"]
