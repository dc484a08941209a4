"""The lines that a soaked daemon's log should have, and no others. Pure."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

_STAMP: Final = re.compile(r"^.*?\b(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b\s*")
_CHANGING: Final = re.compile(r"(?<=credential )[0-9a-f]{4}|(?<=circuit of )[0-9a-f]{4}|\d[\d.:T-]*")


def sentences(log: str) -> dict[str, int]:
    """Return how often a log has each sentence, with # in place of what changes."""
    found: dict[str, int] = {}
    for line in log.splitlines():
        if not line:
            continue
        level = _STAMP.match(line)
        text = f"{level[1] if level else ''} {_STAMP.sub('', line)}".strip()
        sentence = _CHANGING.sub("#", text)
        found[sentence] = found.get(sentence, 0) + 1
    return found


class _Line(NamedTuple):
    """A kind of line: the beginning of its sentence, and how often it comes at least, and at most where that is known.

    *each* is of what comes and goes: so often more for each of those, at least for the *share* of them.
    """

    begins: str
    least: int = 0
    most: int | None = None
    each: str = ""
    share: float = 1.0


_GENERATION: Final = "INFO supervisor: generation #"
_SILENT: Final = "WARNING supervisor: generation # is silent: another one stands in"  # where the machine is busy
_RESTARTS: Final = "restarts of the database"
_LINES: Final = (
    _Line("claude-gatewayd # serves on ", 1, 1),
    _Line("export ANTHROPIC_BASE_URL=", 1, 1),
    _Line("export NO_PROXY=", 1, 1),
    _Line(f"{_GENERATION} (pid #) serves after # s", 1, 1, "reloads"),
    _Line(f"{_GENERATION} drains", 0, 0, "reloads"),
    _Line(f"{_GENERATION} has ended", 0, 0, "reloads"),
    _Line(f"{_GENERATION} speaks again, generation # drains"),
    _Line(_SILENT),
    _Line("INFO worker # AWS credentials of profile x: ", 1),
    _Line("INFO worker # the login of profile x is renewed"),
    _Line("INFO worker # Anthropic accepts the credential #: it may use Bedrock", 1, 20),
    _Line("WARNING worker # the circuit of # for claude-opus-# opens until # (limit reached)", 1),
    _Line("WARNING worker # the circuit of # for claude-opus-# opens until # (#)", 1),
    _Line("INFO worker # the circuit of # for claude-opus-# closes: Anthropic answers"),
    _Line("WARNING worker # Bedrock works until #"),  # a login has ended, and nobody has logged in yet
    _Line("WARNING worker # Anthropic fails: answered #", 1),
    _Line("WARNING worker # Anthropic fails: it closed the connection in the middle of its answer", 1),
    _Line("INFO worker # Anthropic answers again", 1),
    _Line("INFO worker # cannot list the models of Bedrock: # could not be reached: connection refused"),
    _Line("INFO worker # Claude Code is served by Bedrock since # ", 1),
    # Where the machine is busy, the stand-ins do not answer in time either.
    _Line("WARNING worker # Anthropic fails: # could not be reached within # s"),
    _Line("WARNING worker # the circuit of # for claude-"),
    _Line("INFO worker # the circuit of # for claude-"),
    _Line("WARNING worker # Bedrock cannot answer: # could not be reached within # s"),
    _Line("INFO worker # Bedrock refuses a request: Bedrock answered ValidationException: Input is too long"),
    _Line("INFO worker # Bedrock answers again"),
    _Line("INFO worker # cannot count tokens at Bedrock for "),
    # The last restart of a part may come when nothing is to be written, and a generation may end before it has failed
    # twice, or before the database is back.
    _Line("WARNING worker # cannot write the ledger: Connection refused", -1, None, _RESTARTS, 0.5),
    _Line("WARNING worker # cannot write the ledger: the database system is not yet accepting connections"),
    _Line("INFO worker # the ledger is written again", -1, None, _RESTARTS, 0.5),
)  # fmt: skip


def is_busy(log: Mapping[str, int]) -> bool:
    """Return whether the machine was so busy that the loop of a worker did not run for a second."""
    return _SILENT in log


def faults(log: Mapping[str, int], done: Mapping[str, int]) -> list[str]:
    """Return what the log lacks, and what it has too much, after what has come and gone."""
    found = dict.fromkeys(_LINES, 0)
    wrong = []
    for sentence, count in log.items():
        line = next((line for line in _LINES if sentence.startswith(line.begins)), None)
        if line is None:
            wrong.append(f"the log has a line that it should not: {sentence}")
        else:
            found[line] += count
    stood_in = log.get(_SILENT, 0)
    for line, count in found.items():
        each = done.get(line.each, 0)
        least, most = line.least + int(each * line.share), None if line.most is None else line.most + each + stood_in
        if count < least:
            wrong.append(f"the log has {count} times {line.begins!r}, not {least}")
        if most is not None and count > most:
            wrong.append(f"the log has {count} times {line.begins!r}, not {most} at most")
    return wrong
