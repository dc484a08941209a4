"""`ledger move`: from one database to another while requests are recorded, so that each row is there once.

Copy what is there; have the daemon record in the new database; wait until no older generation is left, which may record
in the old one; copy what it has added. A move that was interrupted goes on where it was: what is there is left out.
"""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import text

from claude_gatewayd import paths
from claude_gatewayd.config import loading as configuration
from claude_gatewayd.ctl import config
from claude_gatewayd.ctl.daemon import RELOAD_WITHIN
from claude_gatewayd.ctl.ledger import opened, postgres, unfinished
from claude_gatewayd.ctl.ledger.copying import copy_keys, copy_missing
from claude_gatewayd.ctl.ledger.unfinished import Move
from claude_gatewayd.ctl.terminal import text as texts
from claude_gatewayd.ctl.terminal.progress import Progress
from claude_gatewayd.errors import GatewayError, not_changed
from claude_gatewayd.ipc import client
from claude_gatewayd.ipc.lock import lock_is_held
from claude_gatewayd.ledger import sqlite_files
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.maintenance.migrate import migrate
from claude_gatewayd.ledger.opening import driver_errors
from claude_gatewayd.system import files

RESUME = "claude-gatewayctl ledger move --resume"
_LOOK_EVERY = 0.5
_MORE = 60.0  # seconds beyond the time that a drain may take
_PASSES = 20

Say = Callable[[str, object], None]


class Moved(NamedTuple):
    """What a move did. *generation* is the one that records in the new database, None without a daemon.

    *kept* is where the old database is.
    """

    rows: int
    generation: int | None
    kept: str


def move(target: Database, environ: Mapping[str, str], say: Say) -> Moved:
    """Move the ledger to *target*; *say* hears of each step. Raises GatewayError; what is done by then is kept."""
    _refuse_overridden(environ)
    here, begun = opened.configured(environ), unfinished.read()
    if begun is not None and begun.target != target:
        raise GatewayError(
            f"cannot move the ledger to {target.shown}: its move to {begun.target.shown} is not finished", RESUME
        )
    source = begun.source if begun is not None else here
    if source == target or _is_same_server(source, target):
        raise GatewayError(f"cannot move the ledger: it is in {target.shown} already", "claude-gatewayctl ledger check")
    if target.is_postgres:
        postgres.require_usable(target)
    for database in (target, source):
        if database.file is None or database is target or database.file.exists():
            with driver_errors("prepare", database):
                migrate(database)
    unfinished.begin(Move(source, target))
    say("from", source.shown)
    say("to", target.shown)
    rows = _copy(source, target, "copied", say)
    generation = None
    if here != target:
        generation = _switch(target, environ, say)
    if generation is not None or lock_is_held():
        _wait_for_older_generations(environ, say)
    for _ in range(_PASSES):
        added = _copy(source, target, "copied", say)
        rows += added
        if not added:
            break
    else:
        raise GatewayError(f"cannot finish the move: somebody still records in {source.shown}", RESUME)
    say("checked", f"every row of {source.shown} is in {target.shown}")
    kept = _set_aside(source, say)
    unfinished.end()
    return Moved(rows, generation, kept)


def _refuse_overridden(environ: Mapping[str, str]) -> None:
    """Raise GatewayError where a variable decides which database it is: what we write would have no effect."""
    for name in ("CLAUDE_GATEWAY_LEDGER_URL", "CLAUDE_GATEWAY_LEDGER_USE_DATABASE_URL"):
        if environ.get(name, "").strip():
            file = paths.environment_file(environ)
            where = "this shell" if os.environ.get(name) else str(file)
            raise GatewayError(f"cannot move the ledger: {name} in {where} decides where it is", f"unset {name}")


def _is_same_server(source: Database, target: Database) -> bool:
    """Return whether two URLs lead to one database, by two names of a host or by two users."""
    if source.file is not None or target.file is not None:
        return False
    return _identity(source) == _identity(target)


def _identity(database: Database) -> tuple[object, ...]:
    with driver_errors("read", database), opened.reading(database).connect() as connection:
        found = "SELECT pg_postmaster_start_time(), current_database(), inet_server_port()"
        return tuple(connection.execute(text(found)).one())


def _copy(source: Database, target: Database, what: str, say: Say) -> int:
    """Copy what is missing, and say so."""
    if source.file is not None and not source.file.exists():
        return 0
    began = time.monotonic()
    with Progress(f"Copying to {target.shown}") as progress:

        def tell(seen: int, added: int) -> None:
            progress.detail = f"{seen:,} rows looked at, {added:,} copied"

        added = copy_missing(source, target, tell)
        keys = copy_keys(source, target)
    if keys:
        say(what, texts.counted(keys, "named key"))
    if added:
        say(what, f"{texts.counted(added, 'row')} in {time.monotonic() - began:.1f} s")
    return added


def _switch(target: Database, environ: Mapping[str, str], say: Say) -> int | None:
    """Have the configuration name the new database, and the daemon use it. Raises GatewayError, as it was before."""
    settings = configuration.load(environ).ledger
    values: dict[tuple[str, str], object] = {("ledger", "url"): target.url}
    if not target.is_postgres and settings.use_database_url:
        values["ledger", "use_database_url"] = False
    path = paths.config_path(os.environ)
    before = path.read_bytes() if path.exists() else None
    path, kept = config.write(values)
    say("wrote", f"{path}: [ledger] url" + (f" (backup: {kept})" if kept else ""))
    try:
        with Progress("Starting a new generation; the old one keeps serving"):
            reply = client.ask("reload", RELOAD_WITHIN)
    except client.NotRunning:
        if lock_is_held():
            raise GatewayError(
                f"cannot reload the daemon: it runs, and does not answer; then: {RESUME}", "claude-gatewayctl reload"
            ) from None
        return None
    if not reply["applied"]:
        _restore(path, before)
        unfinished.end()  # it records where it did; what was copied is left out by the next move
        problems = texts.problems(reply["problems"]).strip()
        raise GatewayError(
            f"cannot move the ledger: the daemon refuses to reload, and nothing has changed: {problems}",
            "claude-gatewayctl reload",
        )
    say("switched", f"generation {reply['generation']} records in {target.shown}")
    generation: int = reply["generation"]
    return generation


def _restore(path: Path, before: bytes | None) -> None:
    try:
        if before is None:
            files.remove(path)
        else:
            files.replace(path, before)
    except OSError as error:
        raise not_changed("write", path, error) from None


def _wait_for_older_generations(environ: Mapping[str, str], say: Say) -> None:
    """Wait until one generation is left: an older one records what it finishes in the old database."""
    limit = configuration.load(environ).listen.drain_timeout + _MORE
    began = time.monotonic()
    waited = False
    with Progress("Waiting for the requests of the older generation") as progress:
        while older := _older():
            waited = True
            progress.detail = older
            if time.monotonic() - began > limit:
                raise GatewayError(f"cannot finish the move: {older}", RESUME)
            time.sleep(_LOOK_EVERY)
    if waited:
        say("waited", f"{time.monotonic() - began:.1f} s for the requests of the older generation")


def _older() -> str:
    """Return what may still record in the old database, "" for nothing."""
    try:
        status = client.ask("status")
    except client.NotRunning:
        return "the daemon ends" if lock_is_held() else ""
    newest = max((one["number"] for one in status["generations"]), default=0)
    older = [f"generation {one['number']}" for one in status["generations"] if one["number"] < newest]
    older += [f"pid {pid}" for pid in status["predecessors"]]
    streams = sum(one["streams"] for one in status["generations"] if one["number"] < newest)
    return f"{', '.join(older)}, {texts.counted(streams, 'open stream')}" if older else ""


def _set_aside(source: Database, say: Say) -> str:
    """Rename the old file, so that nobody takes it for the ledger; a PostgreSQL stays as it is. Return its place."""
    file = source.file
    if file is None or not file.exists():
        say("kept", f"the tables in {source.shown}")
        return source.shown
    with driver_errors("close", source), opened.writing(source).connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    aside = file.with_name(f"{file.name}.moved-{time.strftime('%Y%m%d-%H%M%S')}")
    try:
        sqlite_files.rename(file, aside)
    except OSError as error:
        raise not_changed("rename", file, error) from None
    say("kept", f"{aside}, which nobody needs any more")
    return str(aside)
