"""Read config.toml, and find the line of a key in it."""

import re
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

from claude_gatewayd.errors import ConfigInvalid, GatewayError
from claude_gatewayd.paths import config_path
from claude_gatewayd.problem import Problem


class Document(NamedTuple):
    """A configuration file: its tables, and its text for line numbers."""

    source: Path | None
    text: str
    tables: Mapping[str, Any]

    def where(self, section: str, name: str = "") -> str:
        """Return the place of a section, or of a key in one; *section* is "" for a key outside any section."""
        place = f"[{section}] {name}".strip() if section else name
        line = self._line(section, name)
        return f"{self.source}:{line} {place}" if line else f"{self.source} {place}"

    def _line(self, section: str, name: str) -> int:
        """Return the line where the key, or else its section, seems to be; TOML's parser does not report it."""
        target = ".".join(filter(None, (section, name)))
        table, fallback = "", 0
        for number, line in enumerate(self.text.split("\n"), 1):
            header = line.lstrip().startswith("[")
            words = line.partition("]" if header else "=")[0].split(".")
            path = ".".join(word.strip(" \t\"'[") for word in words)
            if header:
                table = path
            elif table:
                path = f"{table}.{path}"
            if path == target or path.startswith(f"{target}."):
                return number
            if path == section:
                fallback = fallback or number
        return fallback


def read_document(environ: Mapping[str, str]) -> Document:
    """Return the file, an empty one if there is none; raise ConfigInvalid if it cannot be used.

    A file that $CLAUDE_GATEWAY_CONFIG names must exist.
    """
    try:
        path = config_path(environ)
    except GatewayError as error:
        raise ConfigInvalid([Problem("environment HOME", error.message, error.hint)]) from None
    where, pasted = str(path), quote(str(path))
    try:
        return document_of(path, path.read_bytes())
    except FileNotFoundError:
        if not environ.get("CLAUDE_GATEWAY_CONFIG"):
            return Document(None, "", {})
        message = f"names {path}, which does not exist"
        problem = Problem("environment CLAUDE_GATEWAY_CONFIG", message, f"touch {pasted}")
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        problem = Problem(where, f"cannot be read: {why}", f"ls -ld {pasted}")
    except ValueError as error:  # a NUL in the path
        problem = Problem(where, f"cannot be read: {error}", "echo $CLAUDE_GATEWAY_CONFIG")
    raise ConfigInvalid([problem])


def has_password(text: str) -> bool:
    """Return whether a configuration has a URL with a password in it: then only its owner may read the file."""
    return re.search(r"://[^/\s\"'@]*:[^/\s\"'@]+@", text) is not None


def document_of(path: Path, data: bytes) -> Document:
    """Return the document of a file with this content; raise ConfigInvalid if it is not TOML."""
    import tomllib  # here: it takes 3 ms of the start of a daemon that has no such file

    where, pasted = str(path), quote(str(path))
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
        return Document(path, text, tomllib.loads(text))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = Problem(f"{where}:{line}", "is not UTF-8 text", f"find it: grep -naxv '.*' {pasted}")
    except tomllib.TOMLDecodeError as error:
        problem = _syntax_problem(path, text, str(error))
    except (ValueError, RecursionError) as error:  # 5000 digits, 500 brackets
        problem = Problem(where, f"cannot be read: {error}", "write it by docs/configuration.md")
    raise ConfigInvalid([problem])


def _syntax_problem(path: Path, text: str, reason: str) -> Problem:
    """Return the problem with the line at its beginning; TOML's parser puts it at the end of its message."""
    end = f"{text.count(chr(10)) + 1}", f"{len(text) - text.rfind(chr(10))}"
    line, column = found.groups() if (found := re.search(r"at line (\d+), column (\d+)", reason)) else end
    what = reason.partition(" (at ")[0]
    hint = 'texts need quotes, and a section its brackets: [listen], then host = "127.0.0.1"'
    message = f"is not TOML at line {line}, column {column}: {what[:1].lower()}{what[1:]}"
    return Problem(f"{path}:{line}", message, hint)
