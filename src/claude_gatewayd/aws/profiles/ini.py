"""A file of AWS's configuration: its sections, or where and why it cannot be used."""

import configparser
import io
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
# Python's parser, which botocore uses on the same files, takes minutes for some lines, and holds the interpreter: its
# time grows with the square of the blanks inside a key, and of the lines without one.
_BLANKS_IN_KEY: Final = re.compile(r"(?![#;])[^=:]*?\S\s{64}\s*[^\s=:]")
_WITHOUT_KEY: Final = ("=", ":")
_MOST_WITHOUT_KEY: Final = 100
# Before Python 3.13, the parser raises AttributeError for an indented line below a key without a value.
_CONTINUED: Final = getattr(configparser, "MultilineContinuationError", AttributeError)


Section = Mapping[str, str]
Sections = Mapping[str, Section]


class _TooSlow(Exception):
    """A line that Python's parser would take too long for."""


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
    at, shell = 0, quote(str(file))

    def counted(text: str) -> Iterator[str]:
        nonlocal at
        without_key = 0
        for line in io.StringIO(text, newline=None):  # as a file is read, with any line endings
            at += 1
            content = line.strip()
            without_key += content.startswith(_WITHOUT_KEY)
            if without_key > _MOST_WITHOUT_KEY or _BLANKS_IN_KEY.match(content):
                raise _TooSlow
            yield line

    try:
        content = small_file.read(file, _MAX_SIZE)
        for mark, why, command in _MARKS:
            if content.startswith(mark):
                raise _unusable(f"{file}:1", why, f"{command} {shell} > {shell}.new && mv {shell}.new {shell}")
        parser = configparser.RawConfigParser(strict=False, allow_no_value=True, default_section="\0")
        parser.read_file(counted(content.decode(errors="replace")))
        return {
            section.replace('"', "").replace("'", ""): {name: value or "" for name, value in parser.items(section)}
            for section in parser.sections()
        }
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _unusable(str(file), (error.strerror or str(error)).lower(), f"ls -ld {shell}") from None
    except FileUnusable:
        raise
    except Exception as error:  # the parser also raises what it does not document
        collected = getattr(error, "errors", None)  # ParsingError is raised at the end, for all its lines
        line = collected[0][0] if collected else at
        raise _unusable(f"{file}:{line}", _what_is_wrong(error), f"${{EDITOR:-vi}} +{line} {shell}") from None


def _what_is_wrong(error: Exception) -> str:
    """Describe what is wrong with a line without quoting it: it may be a key."""
    if isinstance(error, configparser.MissingSectionHeaderError):
        return "the line is above the first [section]"
    if isinstance(error, _CONTINUED):
        return "the line is indented, so it continues a value, and the line above has none"
    if isinstance(error, (configparser.Error, _TooSlow)):
        return "the line is neither a [section] nor key = value"
    return f"the line cannot be read ({type(error).__name__})"


def _unusable(where: str, why: str, hint: str) -> FileUnusable:
    return FileUnusable(Problem(where, f"cannot be used: {why}", hint))
