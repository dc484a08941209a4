"""The verb that prints what lets a shell complete our words, made of the verbs' own parsers."""

import argparse
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from claude_gatewayd import paths
from claude_gatewayd.config.keys import KEYS
from claude_gatewayd.ctl import main
from claude_gatewayd.ctl.terminal.output import DONE, row
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.service.files import FileWrite, remove, remove_if_empty
from claude_gatewayd.service.templates import filled, template

SHELLS = ("bash", "zsh", "fish")
_OURS = "By: claude-gatewayctl completion"
_PRINTED_WITHIN = 20.0
_HERE = "@TABLE@"  # the line of a template that the table takes the place of
_KINDS = {"KEY": "=keys", "FILE": "files", "FILE.svg": "files", "VERSION|WHEEL": "files", "PATH/config.yaml": "files"}


class Word(NamedTuple):
    """A word that may stand behind *path*: "", or verbs. Without a *text* it is any value.

    *kind* is of the value that an option or a place takes: files, profiles, a *path* of its own where the values are,
    such as =keys, "-" for what nobody can guess, or "" where none is taken.
    """

    path: str
    text: str
    summary: str = ""
    kind: str = ""


def completion_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `completion` takes."""
    parser.add_argument("shell", choices=SHELLS, help="the shell; `install` puts the script where the shell finds it")


def completion(arguments: argparse.Namespace) -> int:
    """Print the script of one shell."""
    print(script(arguments.shell), end="")
    return DONE


def script(shell: str) -> str:
    """Return the script of one shell."""
    lines = "\n".join(_row(word) for word in words())
    return filled(template(f"completion/claude-gatewayctl.{shell}"), (_HERE, lines))


def files(environ: Mapping[str, str]) -> dict[str, FileWrite]:
    """Return the file in which each shell that is there looks for it."""
    return {shell: FileWrite(path, script(shell)) for shell, path in places(environ).items() if shutil.which(shell)}


def places(environ: Mapping[str, str]) -> dict[str, Path]:
    """Return where each shell looks for it. zsh does so only where its fpath has that directory."""
    home = paths.home(environ)
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local/share")
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    return {
        "bash": data / "bash-completion/completions/claude-gatewayctl",
        "zsh": home / ".zfunc/_claude-gatewayctl",
        "fish": config / "fish/completions/claude-gatewayctl.fish",
    }


def install(environ: Mapping[str, str]) -> Iterator[str]:
    """Put it where the shells look for it, and yield what was done. A comfort: what cannot be is told, and no more."""
    for shell, step in files(environ).items():
        if step.is_done:
            continue
        try:
            step.do()
        except GatewayError as error:
            yield row("left out", error.message)
            continue
        yield row("completes", step.path)
        if shell == "zsh" and not _zsh_looks_there(environ):
            yield row("", "for zsh to find it, add to ~/.zshrc, before compinit: fpath=(~/.zfunc $fpath)")


def renew(program: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """Put what the program of another version prints where ours was put, and yield what was done."""
    for shell, path in places(environ).items():
        if not _is_ours(path):
            continue
        try:
            done = subprocess.run(
                [program, "completion", shell], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                timeout=_PRINTED_WITHIN, check=True,
            )  # fmt: skip
            step = FileWrite(path, done.stdout)
            if _OURS in done.stdout[:200] and not step.is_done:
                step.do()
                yield row("completes", path)
        except (OSError, ValueError, subprocess.SubprocessError):
            yield row("left out", f"{path}: {program} does not print it")
        except GatewayError as error:
            yield row("left out", error.message)


def uninstall(environ: Mapping[str, str]) -> Iterator[str]:
    """Take away what was put there, and yield what was done."""
    for path in places(environ).values():
        if _is_ours(path) and remove(path):
            remove_if_empty(path.parent)
            yield row("removed", path)


def _is_ours(path: Path) -> bool:
    try:
        return _OURS in path.read_text()[:200]
    except (OSError, ValueError):
        return False


def _zsh_looks_there(environ: Mapping[str, str]) -> bool:
    try:
        return ".zfunc" in (Path(environ.get("ZDOTDIR") or paths.home(environ)) / ".zshrc").read_text()
    except (OSError, ValueError):
        return False


def words() -> Iterator[Word]:
    """Yield all that may be typed, by the verbs' parsers."""
    for rows in main.VERBS.values():
        for verb, _, summary in rows:
            yield Word("", verb, summary.removesuffix("."))
    yield Word("", "--help", "list all verbs")
    for rows in main.VERBS.values():
        for verb, module, summary in rows:
            yield from _of(verb, main.parser(verb, module, summary))
    for key in KEYS:
        yield Word("=keys", f"{key.section}.{key.name}")


def _of(path: str, parser: argparse.ArgumentParser) -> Iterator[Word]:
    if parser.prefix_chars == "\0":  # `run`: what follows is claude's
        yield Word(path, "--direct", "bypass the gateway")
        yield Word(path, "--bedrock", "use Claude Code's Bedrock mode")
        yield Word(path, "", kind="files")
        return
    for action in parser._actions:  # there is no public way, and it has been so since argparse is there
        if isinstance(action, argparse._SubParsersAction):
            for name, one in action.choices.items():
                yield Word(path, name, (one.description or "").removesuffix("."))
                yield from _of(f"{path} {name}", one)
        elif action.option_strings:
            takes = _kind(action) if action.nargs != 0 else ""
            if action.choices is not None:
                takes = f"={path}{action.option_strings[-1]}"
                yield from (Word(takes, str(choice)) for choice in action.choices)
            for option in action.option_strings:
                if option != "-h":  # --help is enough
                    yield Word(path, option, action.help or "", takes)
        elif action.choices is not None:
            yield from (Word(path, str(choice)) for choice in action.choices)
        else:
            yield Word(path, "", kind=_kind(action))


def _kind(action: argparse.Action) -> str:
    return "profiles" if action.dest == "profile" else _KINDS.get(str(action.metavar), "-")


def _row(word: Word) -> str:
    """Return a row of the table, as it stands between single quotes in any of the shells."""
    summary = word.summary.replace("'", "’").replace("`", "").replace("\\", "/").replace("%%", "%")
    return "\t".join((word.path or ".", word.text or "*", word.kind or "*", summary))
