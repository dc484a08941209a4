"""A file of AWS's configuration: its sections as botocore reads them, or where and why it cannot be used.

The parser is the one that botocore uses, with the same options: what it refuses, every AWS SDK for Python refuses, the
one inside this program included. A test compares the two. We refuse a little more: what would take minutes to parse,
and what cannot be read, which botocore takes for an empty file.
"""

import io
import locale
import os
import re
import stat
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from shlex import quote
from typing import Final

from claude_gatewayd.problem import Problem
from claude_gatewayd.system import small_file

_MAX_SIZE: Final = 1024 * 1024  # some 9,000 profiles, which take a second or two to parse
# What editors on Windows put in front; no AWS SDK reads such a file.
_MARKS: Final = (
    (b"\xef\xbb\xbf", "it begins with a byte order mark", "tail -c +4"),
    (b"\xff\xfe", "it is UTF-16, and must be UTF-8", "iconv -f UTF-16 -t UTF-8"),
    (b"\xfe\xff", "it is UTF-16, and must be UTF-8", "iconv -f UTF-16 -t UTF-8"),
)
# Python's parser takes minutes for some lines, and holds the interpreter: its time grows with the square of the blanks
# inside a key, of the lines that are no settings, and of the length of a section's name.
_BLANKS_IN_KEY: Final = re.compile(r"(?![#;])[^=:]*?\S\s{64}\s*[^\s=:]")
_NO_SETTING: Final = re.compile(r"[=:]|[^#;\[=:][^=:]*$")
_MOST_WITHOUT_SETTING: Final = 1000
_LONGEST_SECTION_NAME: Final = 1000
_MOST_DEFAULTS: Final = 1_000_000  # the settings of [DEFAULT], once for each section
_CONFLICT: Final = ("<<<<<<<", "=======", ">>>>>>>")


Section = Mapping[str, str]
Sections = Mapping[str, Section]


class _TooSlow(Exception):
    """A line that Python's parser would take too long for."""


class _NoNestedSetting(Exception):
    """A line below `key =`, which must be a setting itself."""


class FileUnusable(Exception):
    """A file that cannot be used."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.where)
        self.problem = problem


def read_sections(file: Path) -> Sections:
    """Return the sections of a file, none if it does not exist. Raises FileUnusable.

    An unchanged file is not read again: a start reads it several times, and Anthropic's lane waits for the start.
    """
    try:
        status = os.stat(file)
    except PermissionError as error:  # of a directory above it
        raise _unusable(str(file), str(error.strerror).lower(), f"ls -ld {quote(str(file.parent))}") from None
    except (OSError, ValueError):
        return {}
    if not stat.S_ISREG(status.st_mode):  # for the SDK, a pipe, a device or a directory is no file, either
        return {}
    read = _read(file, (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size))
    if isinstance(read, Problem):
        raise FileUnusable(read)
    return read


@lru_cache(maxsize=4)
def _read(file: Path, _version: tuple[int, int, int, int]) -> Sections | Problem:
    try:
        return _parsed(file)
    except FileUnusable as error:
        return error.problem


def _parsed(file: Path) -> Sections:
    import configparser  # here: it takes 2 ms of the start of a daemon without such files

    at, shell = 0, quote(str(file))

    def counted(lines: io.StringIO) -> Iterator[str]:
        nonlocal at
        without_setting = 0
        for line in lines:
            at += 1
            content = line.strip()
            without_setting += _NO_SETTING.match(content) is not None
            if without_setting > _MOST_WITHOUT_SETTING or _BLANKS_IN_KEY.match(content):
                raise _TooSlow
            if content.startswith("[") and len(content) > _LONGEST_SECTION_NAME:
                raise _TooSlow
            yield line

    try:
        content = small_file.read(file, _MAX_SIZE)
        for mark, why, command in _MARKS:
            if content.startswith(mark):
                raise _unusable(f"{file}:1", why, _rewritten(command, shell))
        encoding = locale.getpreferredencoding(False)  # as for botocore, which opens the file without naming one
        text = io.StringIO(content.decode(encoding), newline=None)  # as a file is read, with any line endings
        parser = configparser.RawConfigParser()
        parser.read_file(counted(text))
        if len(parser.defaults()) * len(parser.sections()) > _MOST_DEFAULTS:
            raise _TooSlow
        sections = {section: dict(parser.items(section)) for section in parser.sections()}
        for values in sections.values():
            for value in values.values():
                if value.startswith("\n"):
                    _check_nested(value.splitlines())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _unusable(str(file), (error.strerror or str(error)).lower(), f"ls -ld {shell}") from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _unusable(
            f"{file}:{line}",
            f"the line has a character that is not {error.encoding.upper()}, as if saved in Latin-1",
            _rewritten(f"iconv -f LATIN1 -t {error.encoding.upper()}", shell),
        ) from None
    except FileUnusable:
        raise
    except Exception as error:  # the parser also raises what it does not document
        text.seek(0)
        lines = text.readlines()
        conflicts = (number for number, line in enumerate(lines, 1) if line.startswith(_CONFLICT))
        line = next(conflicts, 0) or _line_of(error, lines, at)  # what the parser stumbles over may be a consequence
        why = _what_is_wrong(error, lines[line - 1] if lines else "")
        raise _unusable(f"{file}:{line}", why, f"${{EDITOR:-vi}} +{line} {shell}") from None
    return sections


def _check_nested(lines: list[str]) -> None:
    """Refuse what botocore refuses of an indented block below `key =`. Raises _NoNestedSetting."""
    for line in lines:
        if line.strip() and "=" not in line:
            raise _NoNestedSetting(line.strip())


def _line_of(error: Exception, lines: list[str], at: int) -> int:
    """Return the number of the line that an error is about, *at* being the last one that was read."""
    if isinstance(error, _NoNestedSetting):
        numbers = (n for n, line in enumerate(lines, 1) if line.strip() == error.args[0] and line[0].isspace())
        return next(numbers, at)
    collected = getattr(error, "errors", None)  # ParsingError is raised at the end, for all its lines
    return collected[0][0] if collected else at


def _what_is_wrong(error: Exception, line: str) -> str:
    """Describe what is wrong with a line without quoting it: it may be a key."""
    import configparser

    if line.startswith(_CONFLICT):
        return "the line was left by a merge conflict"
    if isinstance(error, configparser.MissingSectionHeaderError):
        return "the line is above the first [section]"
    if isinstance(error, configparser.DuplicateSectionError):
        return "a [section] of this name stands above already"
    if isinstance(error, configparser.DuplicateOptionError):
        return "the line sets a key that its [section] has already"
    if isinstance(error, _NoNestedSetting):
        return "the line is indented below `key =`, and is not key = value itself"
    if isinstance(error, (configparser.Error, _TooSlow)):
        return "the line is neither a [section] nor key = value"
    return f"the line cannot be read ({type(error).__name__})"


def _rewritten(command: str, shell: str) -> str:
    """Return a command that rewrites a file in place: its mode stays, and so does a symlink to it."""
    return f"cp -p {shell} {shell}.old && {command} {shell}.old > {shell}"


def _unusable(where: str, why: str, hint: str) -> FileUnusable:
    return FileUnusable(Problem(where, f"cannot be used: {why}", hint))
