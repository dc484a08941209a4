"""The files of a SQLite database: its own, those that SQLite keeps beside it in WAL mode, and the dashboard's."""

import sqlite3
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

_BESIDE = ("-wal", "-shm")


def parts(file: Path) -> list[Path]:
    """Return the paths of all of them, the database's first."""
    return [file, *(file.with_name(f"{file.name}{suffix}") for suffix in _BESIDE)]


def days_file(file: Path) -> Path:
    """Return the path of the sums of days that are over, which the dashboard keeps."""
    return file.with_name(f"{file.stem}-days")


def forget_days(file: Path) -> None:
    """Remove those sums, as rows were removed that are in them; where it cannot be, they are compared once more."""
    with suppress(OSError):
        days_file(file).unlink()


def rename(file: Path, to: Path) -> None:
    """Rename those that are there, the database's last: a new one must not find another's -wal. Raises OSError."""
    for part, name in zip(reversed(parts(file)), reversed(parts(to)), strict=True):
        if part.exists():
            part.rename(name)


def connect_read_only(file: Path, seconds: float) -> sqlite3.Connection:
    """Open it to read, waiting up to *seconds* for a lock. Raises sqlite3.Error."""
    return sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=seconds)
