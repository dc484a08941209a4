"""Compare the ledger with Claude Code's transcripts, and print what differs."""

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from claude_gatewayd import printable
from claude_gatewayd.ctl.terminal import colour
from claude_gatewayd.ctl.terminal.output import DONE, NO
from claude_gatewayd.ctl.terminal.progress import Progress
from claude_gatewayd.ctl.usage.against import report, rows, transcripts
from claude_gatewayd.ctl.usage.against.compare import AROUND, Comparison, LedgerRow, Scope, compare
from claude_gatewayd.ctl.usage.against.transcripts import Message, Transcripts
from claude_gatewayd.ctl.usage.figures import counted
from claude_gatewayd.ctl.usage.labels import of_window
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.reports.local_time import local, zone_name
from claude_gatewayd.ledger.reports.reading import read
from claude_gatewayd.ledger.reports.window import Window, window

if TYPE_CHECKING:
    from sqlalchemy import Connection

USUAL: Final = ""  # the place of --against without one
_ALWAYS: Final = "2000"


class ComparisonOptions(NamedTuple):
    """What a person typed, and when."""

    place: str
    by: str
    since: str
    until: str
    in_json: bool
    now: float
    zone: tzinfo | None


def against(asked: ComparisonOptions, database: Database, own: str | None) -> int:
    """Print the comparison. Returns 1 where tokens differ, or the ledger lacks a message that it should have.

    *own* is the gateway whose requests count, with those of the transcripts' sessions; None for all.
    """
    if asked.by not in _KEYS:
        raise GatewayError(
            f"cannot compare by {asked.by}: the transcripts know nothing of it",
            "claude-gatewayctl usage --against --by model",
        )
    failed: list[OSError] = []
    files = _files(asked.place, os.environ, failed.append)
    given = window(asked.since, asked.until, _ALWAYS, asked.now, asked.zone)
    with Progress("Reading the transcripts") as progress:

        def show(detail: str) -> None:
            progress.detail = detail

        first = read(database, rows.first_at)
        began = asked.now if first is None else first
        since = given.since if asked.since else min(began, given.until)
        found = transcripts.read(files, since=since - AROUND, progress=show)
        for error in failed:
            found.pass_over(error.filename, error.strerror or str(error))
        scope = Scope(since, given.until, began, asked.now)
        comparison = _compared(found, scope, asked, database, own)
    shown = Window(since, given.until)
    if asked.in_json:
        about = {
            "by": asked.by,
            "since": shown.since,
            "until": shown.until,
            "zone": zone_name(asked.now, asked.zone),
            "database": database.shown,
            "recorded_since": first,
        }
        print(report.document(comparison, found, about))
    else:
        count = counted(len(files), "transcript")
        head = f"{of_window(shown, asked.now, asked.zone)}: {count} beside {database.shown}"
        heading = report.Heading(head, asked.by, is_empty=first is None)
        in_colour = colour.wanted(sys.stdout, os.environ)
        text = report.text(comparison, found, heading, shutil.get_terminal_size().columns, in_colour=in_colour)
        print(text, file=printable.unguarded(sys.stdout))
    return NO if comparison.differs else DONE


def _compared(
    found: Transcripts, scope: Scope, asked: ComparisonOptions, database: Database, own: str | None
) -> Comparison:
    sessions = found.sessions

    def key(at: float, whose: Message | LedgerRow, upstream: str) -> str:
        return _KEYS[asked.by](at, whose, upstream, asked.zone)

    def ask(connection: "Connection") -> Comparison:
        return compare(found, rows.rows(connection, scope, own, sessions), scope, key)

    compared = read(database, ask)
    return compare(found, (), scope, key) if compared is None else compared


def _files(place: str, environ: Mapping[str, str], failed: Callable[[OSError], None]) -> Sequence[Path]:
    places = transcripts.directories(environ) if place == USUAL else [Path(place).expanduser()]
    files = [file for one in places for file in transcripts.files_below(one, failed)]
    if not files:
        where = " or ".join(map(str, places)) or "~/.claude or ~/.config/claude"
        raise GatewayError(
            f"cannot find a transcript of Claude Code's in {where}: no file there ends in .jsonl",
            "claude-gatewayctl usage --against DIRECTORY",
        )
    return files


_Key = Callable[[float, Message | LedgerRow, str, tzinfo | None], str]
_KEYS: Final[Mapping[str, _Key]] = {
    "day": lambda at, _whose, _upstream, zone: f"{local(at, zone):%Y-%m-%d}",
    "hour": lambda at, _whose, _upstream, zone: (
        local(at, zone).replace(minute=0, second=0, microsecond=0).isoformat(timespec="minutes")
    ),
    "model": lambda _at, whose, _upstream, _zone: whose.model,
    "upstream": lambda _at, _whose, upstream, _zone: upstream,
    "session": lambda _at, whose, _upstream, _zone: whose.session_id,
    "project": lambda _at, whose, _upstream, _zone: os.path.basename(whose.project),
}
