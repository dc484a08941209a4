"""A file of SQLite's that is damaged: how it is noticed, and how it is set aside."""

import sqlite3
import time
from pathlib import Path

from claude_gatewayd.ledger import sqlite_files
from claude_gatewayd.system import files

_OTHERS_SET_ASIDE_WITHIN = 10.0  # seconds
_MOST_KEPT = 3
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def damage(file: Path, seconds: float) -> str:
    """Return what SQLite finds wrong with a file, "" if nothing. Reads all of it; raises the driver's other errors."""
    try:
        connection = sqlite_files.connect_read_only(file, seconds)
        try:
            ((found,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        if not is_of_damage(error):
            raise
        return str(error)
    return "" if found == "ok" else str(found)


def is_of_damage(error: BaseException) -> bool:
    """Return whether an error, or the one that SQLAlchemy's is about, says that the file is damaged."""
    cause = getattr(error, "orig", None) or error
    return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def set_aside(file: Path, seconds: float) -> Path | None:
    """Rename a damaged file, so that a new one can be begun; return its new path, None if another has done so.

    Whoever still has it open writes into the renamed one. The last three are kept.
    """
    with files.locked(file.with_name(f"{file.name}.lock"), _OTHERS_SET_ASIDE_WITHIN):
        if not file.exists() or not damage(file, seconds):
            return None
        moment = time.strftime("%Y%m%d-%H%M%S")
        aside = file.with_name(f"{file.name}.corrupt-{moment}")
        sqlite_files.rename(file, aside)
        kept = sorted(path for path in file.parent.glob(f"{file.name}.corrupt-*") if path.name[-1] not in "lm")
        for old in kept[:-_MOST_KEPT]:
            for part in sqlite_files.parts(old):
                part.unlink(missing_ok=True)
    return aside
