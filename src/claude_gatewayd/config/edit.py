"""Change one value in the text of a config.toml, so that the comments and the order of its author stay. Pure.

tomlkit makes the change. Its result is parsed by the standard library and compared with what it should be; if they ever
differ, the file is written anew, without its comments.
"""

import copy
import tomllib
from collections.abc import Callable
from typing import Any, NamedTuple

import tomli_w

# tomlkit is imported where it is used: it takes 0.1 s, and most commands edit nothing.


class EditedText(NamedTuple):
    """The new text, and whether all comments are still in it."""

    text: str
    comments_kept: bool


def put(text: str, section: str, name: str, value: object) -> EditedText:
    """Return *text*, which must be TOML, with a value set."""
    wanted = tomllib.loads(text)
    table: Any = wanted
    for part in section.split("."):
        table = table.setdefault(part, {})
    lost = _hashes(table[name]) if name in table else 0
    table[name] = copy.deepcopy(value)
    return _checked(text, lambda: _put(text, section, name, value), wanted, _hashes(value) - lost)


def drop(text: str, section: str, name: str) -> EditedText:
    """Return *text* without a value; as it is where there is none."""
    wanted = tomllib.loads(text)
    table: Any = wanted
    for part in section.split("."):
        table = table.get(part, {})
    if name not in table:
        return EditedText(text, comments_kept=True)
    return _checked(text, lambda: _drop(text, section, name), wanted, -_hashes(table.pop(name)))


def rendered(value: object) -> str:
    """Return a value as TOML has it, on one line."""
    if isinstance(value, list):
        return f"[{', '.join(rendered(item) for item in value)}]"
    if isinstance(value, dict):
        pairs = ", ".join(f"{_key(name)} = {rendered(item)}" for name, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    return tomli_w.dumps({"value": value}).partition(" = ")[2].rstrip("\n")


def _key(name: str) -> str:
    return name if name.isascii() and name.replace("-", "").replace("_", "").isalnum() else rendered(name)


def _checked(before: str, edit: Callable[[], str], wanted: dict[str, Any], in_values: int) -> EditedText:
    """Return the edited text, if it is right; *in_values* is by how many # the values change."""
    from tomlkit.exceptions import TOMLKitError

    try:
        after = edit()
        is_right = tomllib.loads(after) == wanted
    except (TOMLKitError, tomllib.TOMLDecodeError):
        is_right = False
    if not is_right:
        after = tomli_w.dumps(wanted)
    # each comment has a #, and only the value that was edited has others
    return EditedText(after, comments_kept=after.count("#") >= before.count("#") + in_values)


def _hashes(value: object) -> int:
    return rendered(value).count("#")


def _put(text: str, section: str, name: str, value: object) -> str:
    import tomlkit
    from tomlkit.items import AoT, Table

    if text and not text.endswith("\n"):
        text += "\n"
    line_end = "\r\n" if "\r\n" in text else "\n"
    document: Any = tomlkit.parse(text)
    table = document
    for part in section.split("."):
        table = table.get(part, {})
    body = table.value.body if isinstance(table, Table) else []
    own = [
        index
        for index, (key, item) in enumerate(body)
        if key is not None and (key.is_dotted() or not isinstance(item, (AoT, Table)))
    ]
    has_header = isinstance(table, Table) and table.display_name is not None
    if isinstance(value, dict):  # on one line, not as a section
        value = tomlkit.parse(f"value = {rendered(value)}")["value"]
    if name in table:
        table[name] = value
        for key, _ in body:
            if key is not None and key.key == name:
                key.sep = f"{key.sep.rstrip()} "
    elif has_header:
        item = tomlkit.item(value)
        item.trivia.trail = line_end
        body.insert(own[-1] + 1 if own else 0, (tomlkit.key(name), item))  # after the last key, before what follows
    elif (isinstance(table, Table) and not own) or table == {}:  # there are tables below it, or nothing
        gap = line_end if text.strip() else ""
        return f"{text}{gap}[{section}]{line_end}{tomlkit.key(name).as_string()} = {rendered(value)}{line_end}"
    else:  # an inline table, dotted keys, or a table in several pieces
        table[name] = value
    return tomlkit.dumps(document)


def _drop(text: str, section: str, name: str) -> str:
    import tomlkit

    document: Any = tomlkit.parse(text)
    table = document
    for part in section.split("."):
        table = table[part]
    del table[name]
    return tomlkit.dumps(document)
