"""Change members of a JSON object in its text, so that all else stays as it was written, byte for byte.

Strict JSON, as Claude Code reads it: no comment, no comma at the end, no NaN. Of a name that stands twice the last
one counts, as in JavaScript.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

_SPACE = re.compile(r"[ \t\r\n]*")
_INDENTED = re.compile(r"^([ \t]+)\"", re.MULTILINE)


class NotStrict(Exception):
    """The text is not strict JSON, or not an object."""

    def __init__(self, why: str, line: int = 0, column: int = 0) -> None:
        super().__init__(why)
        self.why = why
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its name, its value, and where both stand in the text."""

    name: str
    value: Any
    start: int
    value_start: int
    end: int


@dataclass(frozen=True, slots=True)
class JsonObject:
    """An object of the text: where its braces stand, and its members in their order."""

    start: int
    end: int
    members: tuple[Member, ...]

    def get(self, name: str) -> Member | None:
        """Return the member of that name that counts."""
        return next((member for member in reversed(self.members) if member.name == name), None)

    def values(self) -> dict[str, Any]:
        """Return what the object says."""
        return {member.name: member.value for member in self.members}


def _refuse_constant(name: str) -> NoReturn:
    raise NotStrict(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def read(text: str) -> JsonObject:
    """Return the object that a text is. Raises NotStrict with line and column."""
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _at(text, *_plainly(text, error)) from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; a thousand brackets
        raise NotStrict(str(error)) from None
    if not isinstance(value, dict):
        raise NotStrict(f"it must be an object in braces, not {_kind(value)}", 1, 1)
    return object_at(text, _skip(text, 0))


def object_at(text: str, start: int) -> JsonObject:
    """Return the object whose opening brace stands at *start* of a text that has been read."""
    members = []
    at = _skip(text, start + 1)
    while text[at] != "}":
        if text[at] == ",":
            at = _skip(text, at + 1)
        name, after = _DECODER.raw_decode(text, at)
        value_start = _skip(text, _skip(text, after) + 1)
        value, end = _DECODER.raw_decode(text, value_start)
        members.append(Member(name, value, at, value_start, end))
        at = _skip(text, end)
    return JsonObject(start, at + 1, tuple(members))


def put(text: str, there: JsonObject, name: str, value: Any) -> str:
    """Return the text with a member set: in its place where it has one, else at the end, in the style around it."""
    raw = json.dumps(value, ensure_ascii=False)
    if re.search(r"[\ud800-\udfff]", raw):  # half a character, which only an escape can hold
        raw = json.dumps(value)
    old = there.get(name)
    if old is not None:
        return text[: old.value_start] + raw + text[old.end :]
    member = f"{json.dumps(name)}: {raw}"
    line_end = "\r\n" if "\r\n" in text else "\n"
    if there.members:
        last = there.members[-1]
        before = text[text.rfind("\n", 0, last.start) + 1 : last.start]
        on_its_own_line = not before.strip(" \t\r") and "\n" in text[: last.start]
        gap = f",{line_end}{before}" if on_its_own_line else ", "
        return text[: last.end] + gap + member + text[last.end :]
    if "\n" not in text.strip() and there.start != _skip(text, 0):
        return text[: there.start] + "{" + member + "}" + text[there.end :]
    line = text[text.rfind("\n", 0, there.start) + 1 : there.start]
    outer = line[: len(line) - len(line.lstrip(" \t"))]
    found = _INDENTED.search(text)
    inner = outer + (found[1] if found else "  ")
    return text[: there.start] + "{" + line_end + inner + member + line_end + outer + "}" + text[there.end :]


def drop(text: str, there: JsonObject, name: str) -> str:
    """Return the text without the members of that name."""
    while there.get(name) is not None:
        at = next(index for index, member in enumerate(there.members) if member.name == name)
        members = there.members
        if len(members) == 1:
            text = text[: there.start] + "{}" + text[there.end :]
        elif at + 1 < len(members):
            text = text[: members[at].start] + text[members[at + 1].start :]
        else:
            text = text[: members[at - 1].end] + text[members[at].end :]
        there = object_at(text, there.start)
    return text


def _plainly(text: str, error: json.JSONDecodeError) -> tuple[int, str]:
    """Return where, and what a person has most likely done there."""
    at = error.pos
    before = text[:at].rstrip()
    if text[at : at + 1] in ("}", "]") and before.endswith(","):
        return len(before) - 1, "a comma with nothing after it"
    if text[at : at + 1] == "," and text[at + 1 :].lstrip()[:1] in ("}", "]"):  # so say newer Pythons
        return at, "a comma with nothing after it"
    if text[at : at + 2] in ("//", "/*"):
        return at, "a comment"
    return at, error.msg[:1].lower() + error.msg[1:]


def _at(text: str, at: int, why: str) -> NotStrict:
    return NotStrict(why, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None
    return found.end()


def _kind(value: object) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
