"""Change one value in the text of a config.toml, so that the person's comments and order stay. Pure.

Whether it came out right is not left to the edit: the result is parsed and held against what it must say. Where a file
is written in a way that the edit does not know (inline tables), it is written anew, without its comments.
"""

import copy
import re
import tomllib
from collections.abc import Iterator
from typing import Any, NamedTuple

import tomli_w


class Changed(NamedTuple):
    """The new text, and whether the person's comments are still in it."""

    text: str
    comments_kept: bool


def put(text: str, section: str, name: str, value: object) -> Changed:
    """Return *text*, which must be TOML, with a value set."""
    wanted = copy.deepcopy(tomllib.loads(text))
    table = wanted
    for part in section.split("."):
        table = table.setdefault(part, {})
    table[name] = value
    return _proven(text, _put(text, section, name, value), wanted)


def drop(text: str, section: str, name: str) -> Changed:
    """Return *text* without a value; as it is where there is none."""
    wanted = copy.deepcopy(tomllib.loads(text))
    table: Any = wanted
    for part in section.split("."):
        table = table.get(part, {})
    if name not in table:
        return Changed(text, comments_kept=True)
    del table[name]
    kept = [one.text for one in _statements(text) if one.path != (*section.split("."), name)]
    return _proven(text, "".join(kept), wanted)


def rendered(value: object) -> str:
    """Return a value as TOML has it, on one line."""
    if isinstance(value, list):
        return f"[{', '.join(rendered(item) for item in value)}]"
    return tomli_w.dumps({"value": value}).partition(" = ")[2].rstrip("\n")


class _Statement(NamedTuple):
    """One header, one key with its value, or a line that says nothing; *table* is the table that it stands in."""

    text: str
    table: tuple[str, ...]
    path: tuple[str, ...]


def _proven(before: str, after: str, wanted: dict[str, Any]) -> Changed:
    try:
        if tomllib.loads(after) != wanted:
            after = tomli_w.dumps(wanted)
    except tomllib.TOMLDecodeError:
        after = tomli_w.dumps(wanted)
    return Changed(after, comments_kept=_hashes(after) >= _hashes(before))


def _hashes(text: str) -> int:
    """Count the # of the comments: those of the text that are in no value of it."""
    return text.count("#") - tomli_w.dumps(tomllib.loads(text)).count("#")


def _put(text: str, section: str, name: str, value: object) -> str:
    if text and not text.endswith("\n"):
        text += "\n"
    end = "\r\n" if "\r\n" in text else "\n"
    table = tuple(section.split("."))
    statements = list(_statements(text))
    for index, one in enumerate(statements):
        if one.path == (*table, name):
            statements[index] = one._replace(text=_replaced(one.text, rendered(value)))
            return "".join(statement.text for statement in statements)
    key = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else rendered(name)
    line = f"{key} = {rendered(value)}{end}"
    last = max((index for index, one in enumerate(statements) if one.table == table and one.path), default=None)
    if last is None:
        gap = end if text.strip() else ""
        return f"{text}{gap}[{section}]{end}{line}"
    texts = [statement.text for statement in statements]
    return "".join([*texts[: last + 1], line, *texts[last + 1 :]])


def _replaced(statement: str, value: str) -> str:
    """Return a statement with another value, its key and the comment behind it as they were."""
    equals = next(at for at in _places(statement, "=") if _is_toml(statement[:at] + "= 0"))
    body = statement.rstrip("\r\n")
    comment = next((at for at, sign, depth in _tokens(body, 0) if sign == "#" and not depth), None)
    behind = ""
    if comment is not None:
        before = body[:comment]
        behind = before[len(before.rstrip(" \t")) :] + body[comment:]
    return f"{statement[:equals]}= {value}{behind}{statement[len(body) :]}"


def _statements(text: str) -> Iterator[_Statement]:
    """Yield the statements of a TOML text, which together are the text."""
    table: tuple[str, ...] = ()
    at = 0
    while at < len(text):
        end = text.find("\n", at) + 1 or len(text)
        line = text[at:end].strip()
        if not line or line.startswith("#"):
            yield _Statement(text[at:end], table, ())
        elif line.startswith("["):
            table = _path_of(tomllib.loads(line))
            yield _Statement(text[at:end], table, table)
        else:
            end = next((place + 1 for place, sign, depth in _tokens(text, at) if sign == "\n" and not depth), len(text))
            whole = text[at:end]
            yield _Statement(whole, table, (*table, *_path_of(tomllib.loads(whole))))
        at = end


# A string in each of its four ways, a comment, a bracket, a line's end.
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'|#[^\n]*|[\[\]{}\n]",
    re.DOTALL,
)


def _tokens(text: str, at: int) -> Iterator[tuple[int, str, int]]:
    """Yield where the tokens are that tell how far a value goes: their first sign, and how many brackets are open."""
    depth = 0
    for found in _TOKEN.finditer(text, at):
        first = found[0][0]
        depth += (first in "[{") - (first in "]}")
        yield found.start(), first, depth


def _path_of(document: dict[str, Any]) -> tuple[str, ...]:
    """Return the one path that a statement sets; an inline table is the end of it."""
    path = []
    inner: Any = document
    while isinstance(inner, dict) and len(inner) == 1:
        ((name, inner),) = inner.items()
        path.append(name)
    return tuple(path)


def _places(text: str, what: str) -> Iterator[int]:
    return (found.start() for found in re.finditer(re.escape(what), text))


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True
