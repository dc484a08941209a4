"""Claude Code's transcripts: the tokens that the client believes each answer used.

A session is a file of JSON lines, `projects/FOLDER/SESSION.jsonl`, with its subagents in `SESSION/subagents/`; older
clients wrote a subagent's messages into lines of type "progress". An answer has a line for each of its content blocks,
each with the usage of the whole, and a session that was resumed or forked has the lines of the one before once more.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import msgspec

from claude_gatewayd.ledger.token_counts import TokenCounts
from claude_gatewayd.ledger.usage import counted, name

_LONGEST_LINE: Final = 64 * 1024 * 1024  # pictures are in them; what is longer is passed over
_MOST_NOTED: Final = 1000
_CHUNK: Final = 1024 * 1024
_OF_THE_CLIENT: Final = "<synthetic>"  # the model of what the client itself wrote: an error, an interruption
_NOTHING: Final = msgspec.Raw(b"null")
_DIRECTORIES: Final = ("~/.config/claude", "~/.claude")


class Message(NamedTuple):
    """An answer, as the transcripts have it. *at* is when its last content block had come, in seconds since the epoch.

    *is_sidechain*: it was a subagent's, or was replayed beside the session.
    """

    message_id: str
    session_id: str
    at: float
    model: str
    project: str
    is_sidechain: bool
    counts: TokenCounts


class Unread(NamedTuple):
    """A file, or a line of one, that was passed over."""

    where: str
    why: str


@dataclass(slots=True)
class Transcripts:
    """What the files hold: messages by their id, those without one, and what could not be read, of which the first."""

    files: int = 0
    messages: dict[str, Message] = field(default_factory=dict)
    nameless: list[Message] = field(default_factory=list)
    passed_over: int = 0
    unread: list[Unread] = field(default_factory=list)

    def pass_over(self, where: object, why: str) -> None:
        """Note what could not be read."""
        self.passed_over += 1
        if len(self.unread) < _MOST_NOTED:
            self.unread.append(Unread(str(where), why))

    @property
    def sessions(self) -> set[str]:
        """The ids of the sessions that have messages."""
        return {message.session_id for message in (*self.messages.values(), *self.nameless)}


class _Said(msgspec.Struct, gc=False):
    usage: dict[str, Any] | None = None
    id: str | None = None
    model: str | None = None


class _Line(msgspec.Struct, gc=False, rename="camel"):
    type: str | None = None
    timestamp: str = ""
    message: msgspec.Raw = _NOTHING
    data: msgspec.Raw = _NOTHING
    session_id: str | None = None
    cwd: str | None = None
    is_sidechain: bool | None = None
    is_api_error_message: bool | None = None


class _Progress(msgspec.Struct, gc=False):
    message: _Line | None = None


_decode = msgspec.json.Decoder(_Line).decode
_decode_progress = msgspec.json.Decoder(_Progress).decode
_decode_said = msgspec.json.Decoder(_Said).decode


def directories(environ: Mapping[str, str]) -> Sequence[Path]:
    """Return where Claude Code keeps its transcripts, of the places that it has used; those that exist."""
    named = [part.strip() for part in environ.get("CLAUDE_CONFIG_DIR", "").split(",")]
    found = [Path(part).expanduser() for part in (named if any(named) else _DIRECTORIES) if part]
    return list({os.path.realpath(directory): directory for directory in found if directory.is_dir()}.values())


def files_below(place: Path, failed: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    """Yield the transcripts of a file, of a directory of Claude Code's, or of any below it.

    Raises OSError for the place itself; *failed* gets those of directories in it.
    """
    if not stat.S_ISDIR(os.stat(place).st_mode):
        yield place
        return
    projects = place / "projects"
    top = projects if projects.is_dir() else place
    os.scandir(top).close()  # walk says nothing of one that it may not read
    for directory, below, files in os.walk(top, onerror=failed):
        below.sort()
        yield from (Path(directory, file) for file in sorted(files) if file.endswith(".jsonl"))


def read(
    files: Iterable[Path],
    *,
    since: float = 0.0,
    longest: int = _LONGEST_LINE,
    progress: Callable[[str], None] | None = None,
) -> Transcripts:
    """Return what the files hold; those that nobody has written to since *since* are not opened."""
    found = Transcripts()
    for file in files:
        if progress is not None:
            progress(f"{found.files} files, {len(found.messages)} messages")
        try:
            with open(file, "rb", buffering=_CHUNK, opener=_open) as content:
                status = os.fstat(content.fileno())
                if not stat.S_ISREG(status.st_mode):
                    found.pass_over(file, "it is no file")
                elif status.st_mtime >= since:
                    found.files += 1
                    _read_lines(found, file, _lines(content, longest))
        except OSError as error:
            found.pass_over(file, error.strerror or str(error))
    return found


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)


def _lines(content: IO[bytes], longest: int) -> Iterator[bytes | None]:
    """Yield the lines; None for one that is too long."""
    while line := content.readline(longest):
        is_whole = line.endswith(b"\n") or len(line) < longest
        yield line if is_whole else None
        while not is_whole and (rest := content.readline(longest)):
            is_whole = rest.endswith(b"\n")


def _read_lines(found: Transcripts, file: Path, lines: Iterator[bytes | None]) -> None:
    for number, line in enumerate(lines, 1):
        if line is None:
            found.pass_over(f"{file}:{number}", "the line is too long")
        elif b'"usage"' in line:
            try:
                message = message_of(line)
            except ValueError as error:
                found.pass_over(f"{file}:{number}", str(error))
            else:
                if message is not None:
                    add(found, message)


def message_of(text: bytes) -> Message | None:
    """Return the message in a line; None for a line that has none, or none of a model. Raises ValueError."""
    try:
        line = outer = _decode(text)
        if outer.type == "progress":
            line = _decode_progress(outer.data).message or outer
        if line.type != "assistant" or line.is_api_error_message:
            return None
        said = _decode_said(line.message)
        if not said.usage or said.model == _OF_THE_CLIENT:
            return None
        return Message(
            name(said.id),
            name(line.session_id) or name(outer.session_id),
            datetime.fromisoformat(line.timestamp).timestamp(),
            name(said.model),
            line.cwd or outer.cwd or "",
            line.is_sidechain is True,
            counted(said.usage),
        )
    except (msgspec.MsgspecError, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from None


def add(found: Transcripts, message: Message) -> None:
    """Add a message, or another line of one: the fullest usage is that of the whole answer."""
    if not message.message_id:
        found.nameless.append(message)
        return
    known = found.messages.get(message.message_id)
    found.messages[message.message_id] = message if known is None else _one_of(known, message)


def _one_of(known: Message, other: Message) -> Message:
    if known.is_sidechain != other.is_sidechain:
        return other if known.is_sidechain else known  # what was replayed beside a session is the session's
    fullest = max(known, other, key=lambda message: sum(message.counts[:5]))
    # a session that was resumed has the lines of the one before; who came first has asked
    if known.session_id == other.session_id:
        return fullest._replace(at=max(known.at, other.at))
    return fullest._replace(session_id=known.session_id, at=known.at, project=known.project)
