"""Change a file of the person's: nobody ever sees half of it, its mode and a symlink stay, and the old one is kept."""

import os
import secrets
import stat
import time
from pathlib import Path

KEPT = 10


def replace(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Put *data* in the place of what *path* leads to; *mode* is for a file that is not there yet. Raises OSError.

    The new file lies beside the one that a symlink leads to: so the rename stays on one file system, and the symlink
    stays a symlink.
    """
    real = Path(os.path.realpath(path))
    real.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        before: os.stat_result | None = real.stat()
    except FileNotFoundError:
        before = None
    beside = real.with_name(f"{real.name}.tmp.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            if before is not None and (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                _give(descriptor, before)
            os.fchmod(descriptor, stat.S_IMODE(before.st_mode) if before is not None else mode)
            out.write(data)
            out.flush()
            os.fsync(descriptor)
        beside.replace(real)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _sync_directory(real.parent)


def keep(data: bytes, name: str, directory: Path) -> Path:
    """Keep a copy that only its owner can read, of the last ten; return where. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    moment = time.strftime("%Y%m%d-%H%M%S")
    for number in range(1000):
        kept = directory / (f"{name}.{moment}" + (f".{number}" if number else ""))
        try:
            descriptor = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        try:
            with os.fdopen(descriptor, "wb") as out:
                out.write(data)
                out.flush()
                os.fsync(descriptor)
        except BaseException:
            kept.unlink(missing_ok=True)
            raise
        break
    copies = sorted(directory.glob(f"{name}.[0-9]*"), key=lambda file: file.stat().st_mtime_ns)
    for old in copies[:-KEPT]:
        old.unlink(missing_ok=True)
    return kept


def _give(descriptor: int, before: os.stat_result) -> None:
    """Leave the file with its owner, where that is in our power."""
    try:
        os.fchown(descriptor, before.st_uid, before.st_gid)
    except PermissionError:
        pass


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
