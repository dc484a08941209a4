"""Do a job of the ledger's upkeep, and report what came of it."""

import time

from alembic.util import CommandError
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ledger import sqlite_files
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.failures import failure_of
from claude_gatewayd.ledger.maintenance.damage import damage, is_of_damage, set_aside
from claude_gatewayd.ledger.maintenance.job import Job, Report
from claude_gatewayd.ledger.maintenance.migrate import migrate, require_file
from claude_gatewayd.ledger.maintenance.prune import leaves_only_the_newest, prune
from claude_gatewayd.ledger.opening import open_for_reading, open_for_writing
from claude_gatewayd.ledger.schema import metadata

_DRIVERS = (SQLAlchemyError, CommandError, OSError)


def work(job: Job) -> Report:
    """Do a job; whatever fails is in the report."""
    database = job.database
    try:
        match job.job:
            case "prepare":
                return _prepare(database, job)
            case "prune":
                return _prune(database, job)
            case "check":
                return _check(database, job)
    except GatewayError as error:
        why = error.message.removeprefix(f"cannot use the ledger {database.shown}: ")
        return Report(outcome="refused", message=error.message, hint=error.hint, why=why)
    except Exception as error:
        failure = failure_of(job.job, database, error)
        return Report(outcome=failure.severity, message=failure.message, hint=failure.hint, why=failure.why)


def _patience(job: Job) -> float:
    """Return how long to wait for a lock: less than the job may take, so that it can be reported."""
    return max(0.1, min(30.0, 0.5 * job.seconds))


def _prepare(database: Database, job: Job) -> Report:
    aside = None
    if database.file is not None:
        require_file(database.file)  # SQLite would wait for ever at the end of a pipe
    if database.file is not None and job.is_suspect and database.file.exists() and damage(database.file, 5.0):
        aside = set_aside(database.file, 5.0)
    try:
        migrate(database, seconds=_patience(job))
    except Exception as error:
        if database.file is None or not is_of_damage(error):
            raise
        aside = set_aside(database.file, 5.0)
        migrate(database, seconds=_patience(job))
    return Report(outcome="done", set_aside="" if aside is None else str(aside))


def _prune(database: Database, job: Job) -> Report:
    until, now = time.monotonic() + 0.8 * job.seconds, time.time()
    patience = _patience(job)
    if leaves_only_the_newest(open_for_reading(database, seconds=patience), job.keep_days, now):
        why = "nothing older than a day would be left, so the clock may be wrong; with that date tomorrow it is done"
        hint = f"claude-gatewayctl ledger prune --keep-days {job.keep_days}"
        return Report(outcome="refused", message=f"cannot prune the ledger {database.shown}: {why}", hint=hint, why=why)
    removed, is_all = prune(open_for_writing(database, seconds=patience), job.keep_days, now, until=until)
    if removed and database.file is not None:
        sqlite_files.forget_days(database.file)
    if is_all:
        return Report(outcome="done", pruned=removed)
    why = f"{removed} rows are gone; for the others time is short, or another process is at it, so they go tomorrow"
    return Report(outcome="later", message=f"cannot prune all of the ledger {database.shown}: {why}", why=why)


def _check(database: Database, job: Job) -> Report:
    found = "" if database.file is None else damage(database.file, _patience(job))
    if found:
        message = f"cannot rely on the ledger {database.shown}: the file is damaged: {found}"
        return Report(outcome="corrupt", message=message, hint="claude-gatewayctl reload")
    with open_for_reading(database, seconds=_patience(job)).connect() as connection:
        for table in metadata.tables.values():
            connection.execute(select(table).limit(1)).all()
    return Report(outcome="done")
