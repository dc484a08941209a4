"""What is known of the ledger within a second or two, without SQLAlchemy: for `doctor`."""

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from claude_gatewayd import paths
from claude_gatewayd.config.file import has_password
from claude_gatewayd.config.model import Config
from claude_gatewayd.ctl.ledger import postgres, unfinished
from claude_gatewayd.errors import GatewayError, list_command
from claude_gatewayd.ledger import sqlite_files
from claude_gatewayd.ledger.database import REVISION, Database, database_of
from claude_gatewayd.ledger.failures import LedgerFailure, failure_of
from claude_gatewayd.ledger.maintenance.damage import damage

_SECONDS = 2.0
_READ_WHOLE = 32 * 2**20  # bytes of a file that is read from end to end; of larger ones `ledger check` does


class LedgerFacts(NamedTuple):
    """What is known of the ledger without the daemon.

    *shown* is the database as a person may see it, *why* it cannot be used, with *hint*; *is_new* that nothing has been
    written yet. *newest* is the time of the last row. *open_file* is a configuration file with a password in it that
    others can read. *moving_to* is where a move leads that was not finished.
    """

    shown: str = ""
    is_on: bool = True
    why: str = ""
    hint: str = ""
    is_new: bool = False
    newest: float | None = None
    open_file: str = ""
    moving_to: str = ""


def gather(config: Config, environ: Mapping[str, str]) -> LedgerFacts:
    """Return what is known. *environ* has the variables of the service as well. Changes nothing."""
    begun = unfinished.read(environ)
    about = LedgerFacts(
        is_on=config.ledger.enabled,
        open_file=_open_file(paths.config_path(environ)),
        moving_to=begun.target.shown if begun is not None else "",
    )
    if not about.is_on:
        return about
    try:
        database = database_of(config.ledger, environ)
    except GatewayError as error:
        return about._replace(shown="the ledger", why=_why(error), hint=error.hint)
    about = about._replace(shown=database.shown)
    if database.file is None:
        found = postgres.find_trouble(database, int(_SECONDS))
        return about if found is None else about._replace(why=_why(found), hint=found.hint)
    return _of_file(about, database, database.file)


def _of_file(about: LedgerFacts, database: Database, file: Path) -> LedgerFacts:
    if not file.exists():
        return about._replace(is_new=True)
    if not os.access(file, os.W_OK) or not os.access(file.parent, os.W_OK):
        return about._replace(why="it cannot be written", hint=list_command(file.parent, file))
    try:
        with closing(sqlite_files.connect_read_only(file, _SECONDS)) as connection:
            (newest,) = connection.execute("SELECT max(started_at) FROM requests").fetchone()
            (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        if file.stat().st_size <= _READ_WHOLE and (what := damage(file, _SECONDS)):
            return about._replace(why=f"the file is damaged: {what}", hint="claude-gatewayctl reload")
    except (sqlite3.Error, OSError) as error:
        failure = failure_of("read", database, error)
        return about._replace(why=_why(failure), hint=failure.hint)
    if str(revision) > REVISION:
        why = f"a newer version has made its tables: revision {revision}, this one knows {REVISION}"
        return about._replace(why=why, hint="claude-gatewayctl upgrade")
    return about._replace(newest=newest, is_new=newest is None)


def _why(error: GatewayError | LedgerFailure) -> str:
    """Return the reason alone, without "cannot use the ledger X: " before it."""
    return error.message.partition(": ")[2] or error.message


def _open_file(path: Path) -> str:
    """Return the path of a configuration with a password that others can read, "" if it is not one."""
    try:
        return str(path) if path.stat().st_mode & 0o077 and has_password(path.read_text()) else ""
    except (OSError, ValueError):
        return ""
