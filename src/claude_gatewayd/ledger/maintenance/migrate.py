"""Bring the ledger's tables forward to this version's, by Alembic."""

import os
import sqlite3
import stat
from collections.abc import Sequence
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from claude_gatewayd.errors import GatewayError, list_command
from claude_gatewayd.ledger import sqlite_files
from claude_gatewayd.ledger.database import SCHEMA, Database
from claude_gatewayd.ledger.opening import open_for_reading, open_for_writing
from claude_gatewayd.paths import make_directory

_HERE = Path(__file__).parent / "migrations"
_LOCK = 0x636C617564650001  # one number for all gateways that share a PostgreSQL: "claude", 1


def migrate(database: Database, *, seconds: float = 30.0, revisions: Sequence[Path] = ()) -> None:
    """Create the tables or bring them forward, in one transaction; raise the driver's errors, and GatewayError.

    *revisions* are folders of more revisions. Those who migrate at the same time wait for one another, up to *seconds*.
    """
    config = _config(revisions)
    script = ScriptDirectory.from_config(config)
    if database.file is not None:
        _create_file(database.file, seconds)
    reading, writing = open_for_reading(database, seconds=seconds), open_for_writing(database, seconds=seconds)
    if _is_current(reading, script, database):
        return
    with writing.begin() as connection:
        if database.is_postgres:
            connection.execute(text(f"SET LOCAL lock_timeout = {int(1000 * seconds)}"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
            _create_schema(connection)
            connection.execute(text(f"SET LOCAL search_path TO {SCHEMA}"))
        _require_known(connection, script, database)  # once more: another may have migrated meanwhile
        config.attributes["connection"] = connection
        config.attributes["schema"] = _schema(database)
        command.upgrade(config, "head")


def require_file(file: Path) -> None:
    """Raise GatewayError for a directory, a device and the like; what is not there is no obstacle."""
    if file.exists() and not file.is_file():
        raise GatewayError(f"cannot use the ledger {file}: it is not a file", list_command(file))


def head() -> str:
    """Return the revision that this version's tables have."""
    return ScriptDirectory.from_config(_config(())).get_current_head() or ""


def _config(revisions: Sequence[Path]) -> Config:
    config = Config()
    folders = [_HERE / "versions", *revisions]
    for name, value in {
        "script_location": str(_HERE),
        "version_locations": "\n".join(map(str, folders)),
        "path_separator": "newline",
    }.items():
        config.set_main_option(name, value.replace("%", "%%"))
    return config


def _schema(database: Database) -> str | None:
    return SCHEMA if database.is_postgres else None


def _is_current(engine: Engine, script: ScriptDirectory, database: Database) -> bool:
    with engine.connect() as connection:
        return _require_known(connection, script, database) == script.get_heads()


def _require_known(connection: Connection, script: ScriptDirectory, database: Database) -> list[str]:
    """Return the revisions of the tables; raise GatewayError if a newer version has made them."""
    context = MigrationContext.configure(connection, opts={"version_table_schema": _schema(database)})
    found = sorted(context.get_current_heads())
    known = {revision.revision for revision in script.walk_revisions()}
    if unknown := [revision for revision in found if revision not in known]:
        raise GatewayError(
            f"cannot use the ledger {database.shown}: a newer version of claude-gatewayd has made its tables "
            f"(revision {', '.join(unknown)}, this one knows {script.get_current_head()})",
            "claude-gatewayctl upgrade",
        )
    return found


def _create_schema(connection: Connection) -> None:
    found = connection.execute(text("SELECT 1 FROM pg_namespace WHERE nspname = :name"), {"name": SCHEMA}).first()
    if not found:  # IF NOT EXISTS would need the right to create it even where it exists
        connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))


def _create_file(file: Path, seconds: float) -> None:
    """Create SQLite's file so that only its owner can read it, in WAL mode: who reads and who writes do not wait."""
    require_file(file)
    make_directory(file.parent)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.close(descriptor)
    for part in sqlite_files.parts(file):  # SQLite gives the others the mode of the file, when it makes them
        keep_private(part)
    connection = sqlite3.connect(file, timeout=seconds, isolation_level=None)
    try:
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def keep_private(file: Path) -> None:
    """Take a file from other users, if it is one, and ours."""
    try:
        status = file.stat()
    except FileNotFoundError:
        return
    # root, who has /dev/null as the ledger's file, would take it from all others
    if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077 and status.st_uid == os.getuid():
        file.chmod(0o600)
