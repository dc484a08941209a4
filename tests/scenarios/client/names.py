"""The names of variables and settings in the binary of a Claude Code that have to do with where it goes."""

import mmap
import re
from collections.abc import Iterator
from pathlib import Path

# How a name begins, or ends, that may lead elsewhere. The search is for plain bytes: a binary has 400 MB.
_BEGINNINGS = ("ANTHROPIC_", "CLAUDE_CODE_USE_", "CLAUDE_CODE_PROVIDER_")
_ENDS = ("_BASE_URL", "_MODEL", "_PROXY", "_SOCKET")
_BEFORE, _AFTER = re.compile(rb"[A-Z0-9_]*\Z"), re.compile(rb"[A-Z0-9_]*")
_LONGEST = 100
# Members of the schema of settings.json, as the source in the binary has them: `model:()=>r().optional()`.
_SETTING = re.compile(rb"([a-zA-Z]+):\(\)=>")
_SETTING_WORDS = re.compile(r"model|gateway|provider|login|helper|proxy|authrefresh|credentialexport", re.IGNORECASE)
_SCHEMA_BEGINS, _SCHEMA_WITHIN = b"apiKeyHelper:()=>", 200_000


def variables(binary: Path) -> set[str]:
    """Return the variables of these families, and what else is spelled like one."""
    with binary.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = {name for part in (*_BEGINNINGS, *_ENDS) for name in _names_with(data, part.encode())}
    return {name for name in found if name.startswith(_BEGINNINGS) or name.endswith(_ENDS)}


def settings(binary: Path) -> set[str]:
    """Return the settings whose names have to do with models, providers and signing in."""
    with binary.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        begin = data.find(_SCHEMA_BEGINS)
        schema = data[begin : begin + _SCHEMA_WITHIN] if begin >= 0 else b""
    return {name for name in (found.decode() for found in _SETTING.findall(schema)) if _SETTING_WORDS.search(name)}


def _names_with(data: mmap.mmap, part: bytes) -> Iterator[str]:
    place = data.find(part)
    while place >= 0:
        before = _BEFORE.search(data[max(0, place - _LONGEST) : place])
        after = _AFTER.match(data[place : place + _LONGEST])
        assert before is not None
        assert after is not None
        yield (before[0] + after[0]).decode()
        place = data.find(part, place + len(part))
