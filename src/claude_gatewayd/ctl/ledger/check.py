"""`ledger check`: which database it is, whether it can be relied on, and what waits to be written."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select, text

from claude_gatewayd import paths
from claude_gatewayd.ctl.ledger import agreement, opened, postgres, unfinished
from claude_gatewayd.ctl.terminal.text import counted, mebibytes
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import client
from claude_gatewayd.ledger import sqlite_files
from claude_gatewayd.ledger.database import SCHEMA, Database
from claude_gatewayd.ledger.maintenance.damage import damage
from claude_gatewayd.ledger.maintenance.migrate import head
from claude_gatewayd.ledger.opening import driver_errors
from claude_gatewayd.ledger.schema import requests
from claude_gatewayd.ledger.sums import HOUR

_PATIENCE = 30.0


class Trouble(NamedTuple):
    """Something that is wrong with the ledger, and the command that helps."""

    what: str
    mend: str


class Checked(NamedTuple):
    """What is known of the ledger. *is_on*: requests are recorded. Times are in seconds since the epoch.

    *differing* are hours whose sums are not those of their requests. *waiting* rows are in files, until the database
    can be written. *daemon* is what that says of its writer, None if it does not run.
    """

    database: str
    is_on: bool
    server: str = ""
    revision: str = ""
    rows: int = 0
    oldest: float | None = None
    newest: float | None = None
    size: int = 0
    differing: tuple[int, ...] = ()
    waiting: int = 0
    daemon: Mapping[str, Any] | None = None
    troubles: tuple[Trouble, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            **self._asdict(),
            "differing": list(self.differing),
            "troubles": [one._asdict() for one in self.troubles],
        }


def look(database: Database, environ: Mapping[str, str], *, is_on: bool) -> Checked:
    """Gather what is known; what cannot be found out is a trouble. Changes nothing."""
    found = Checked(database.shown, is_on, waiting=_waiting(environ), daemon=_daemon())
    troubles = [*_modes(database, environ), *_unfinished(environ)]
    if database.file is not None and not database.file.exists():
        return found._replace(troubles=tuple(troubles))
    try:
        troubles += _damage(database)
        with driver_errors("read", database), opened.reading(database).connect() as connection:
            found = _counted(found, connection, database)
        with driver_errors("read", database):
            found = found._replace(differing=tuple(agreement.differing(opened.reading(database))))
    except GatewayError as error:
        troubles.append(Trouble(error.message, error.hint))
    if found.differing:
        hours = counted(len(found.differing), "hour has", "hours have")
        what = f"{hours} sums that are not those of their requests, from {_time(found.differing[0] * HOUR)}"
        troubles.append(Trouble(what, "claude-gatewayctl ledger check --repair"))
    if found.revision and found.revision != head():
        what = f"its tables are of revision {found.revision}, this version's are of {head()}"
        troubles.append(Trouble(what, "claude-gatewayctl reload"))
    return found._replace(troubles=(*troubles, *_of_daemon(found)))


def plain(found: Checked) -> str:
    """Return it for a person."""
    lines = [("database", found.database + (f" ({found.server})" if found.server else ""))]
    if not found.is_on:
        lines.append(("recording", "off: [ledger] enabled is false"))
    if found.revision:
        span = f", {_time(found.oldest)} to {_time(found.newest)}" if found.oldest and found.newest else ""
        lines += [
            ("rows", f"{found.rows:,}{span}"),
            ("size", mebibytes(found.size)),
            ("tables", f"revision {found.revision}"),
        ]
        lines += [("sums", "agree with the requests")] * (not found.differing)
    elif not found.troubles:
        lines.append(("rows", "none: nothing has been recorded yet"))
    if found.waiting:
        lines.append(("waiting", f"{counted(found.waiting, 'row')} in files, until the database can be written"))
    if found.daemon is not None:
        how = found.daemon
        lost = f", {how['dropped']:,} lost" if how["dropped"] else ""
        lines.append(
            ("daemon", f"{how['state']}: {how['written']:,} written, {how['waiting']:,} waiting in memory{lost}")
        )
    for trouble in found.troubles:
        lines += [("TROUBLE", trouble.what), ("", trouble.mend)]
    lines += [("ok", "nothing is wrong")] * (not found.troubles)
    return "\n".join(f"{name:9} {text}".rstrip() for name, text in lines)


def _counted(found: Checked, connection: Connection, database: Database) -> Checked:
    rows, oldest, newest = connection.execute(
        select(func.count(), func.min(requests.c.started_at), func.max(requests.c.started_at)).select_from(requests)
    ).one()
    if database.file is None:
        server = f"PostgreSQL {connection.scalar(text('SHOW server_version'))}, schema {SCHEMA}"
    else:
        server = f"SQLite {connection.scalar(text('SELECT sqlite_version()'))}"
    size = opened.size_of(connection).size
    table = f"{SCHEMA}.alembic_version" if database.file is None else "alembic_version"
    revision = str(connection.scalar(text(f"SELECT version_num FROM {table}")) or "")  # noqa: S608 - two constants
    return found._replace(server=server, revision=revision, rows=rows, oldest=oldest, newest=newest, size=size)


def _damage(database: Database) -> Iterator[Trouble]:
    if database.file is None:
        if (found := postgres.find_trouble(database)) is not None:
            yield Trouble(found.message, found.hint)
    elif what := damage(database.file, _PATIENCE):
        yield Trouble(
            f"the file is damaged: {what}", "claude-gatewayctl reload    # sets it aside, and begins a new one"
        )


def _modes(database: Database, environ: Mapping[str, str]) -> Iterator[Trouble]:
    """Yield the files that others can read."""
    private = [] if database.file is None else sqlite_files.parts(database.file)
    for path in [*private, *_spills(environ)]:
        with suppress(OSError):
            mode = path.stat().st_mode & 0o777
            if mode & 0o077:
                yield Trouble(f"{path} has mode {mode:o}: other users can read it", f"chmod 600 {quote(str(path))}")


def _unfinished(environ: Mapping[str, str]) -> Iterator[Trouble]:
    if (move := unfinished.read(environ)) is not None:
        yield Trouble(f"its move to {move.target.shown} is not finished", "claude-gatewayctl ledger move --resume")


def _of_daemon(found: Checked) -> Iterator[Trouble]:
    how = found.daemon
    if how is not None and how["state"] == "waiting":
        yield Trouble(f"the daemon cannot write it: {how['why']}", "claude-gatewayctl logs")
    if how is not None and how["dropped"]:
        yield Trouble(f"{counted(how['dropped'], 'row is', 'rows are')} lost", "claude-gatewayctl logs")
    if how is not None and how["database"] not in ("", found.database):
        yield Trouble(f"the daemon records in {how['database']}", "claude-gatewayctl reload")


def _daemon() -> Mapping[str, Any] | None:
    try:
        how: Mapping[str, Any] | None = client.ask("status").get("ledger")
    except GatewayError:
        return None
    return how


def _waiting(environ: Mapping[str, str]) -> int:
    """Return how many rows wait in files, whoever is about to write them."""
    count = 0
    for path in _spills(environ):
        with suppress(OSError), path.open("rb") as file:
            count += sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
    return count


def _spills(environ: Mapping[str, str]) -> list[Path]:
    directory = paths.ledger_spill_dir(environ)
    return sorted(directory.glob("*.jsonl")) if os.access(directory, os.R_OK) else []


def _time(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
