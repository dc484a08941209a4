"""Do a job of the ledger's upkeep, and report what came of it."""

import time

from alembic.util import CommandError
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.failures import failure_of
from claude_gatewayd.ledger.maintenance.damage import damage, is_of_damage, set_aside
from claude_gatewayd.ledger.maintenance.job import Job, Report
from claude_gatewayd.ledger.maintenance.migrate import migrate
from claude_gatewayd.ledger.maintenance.prune import prune
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
                until = time.monotonic() + 0.8 * job.seconds
                engine = open_for_writing(database, seconds=_patience(job))
                removed, is_all = prune(engine, job.keep_days, time.time(), until=until)
                return Report(outcome="done" if is_all else "later", pruned=removed)
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


def _check(database: Database, job: Job) -> Report:
    found = "" if database.file is None else damage(database.file, _patience(job))
    if found:
        message = f"cannot rely on the ledger {database.shown}: the file is damaged: {found}"
        return Report(outcome="corrupt", message=message, hint="claude-gatewayctl reload")
    with open_for_reading(database, seconds=_patience(job)).connect() as connection:
        for table in metadata.tables.values():
            connection.execute(select(table).limit(1)).all()
    return Report(outcome="done")
