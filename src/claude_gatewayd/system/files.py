"""Files written whole, and the locks that go with them: nobody ever sees half of a file, not after a crash either."""

import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KEPT = 10
_LOOKED_EVERY = 0.02


def write(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Put *data* in the place of what *path* leads to, with *mode*: for a file of our own. Raises OSError.

    The new file lies beside the one that a symlink leads to: so the rename stays on one file system, and the symlink
    stays a symlink.
    """
    _write(path, data, mode, None)


def replace(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Do what `write` does to a file of the person's: its mode and its owner stay. Raises OSError.

    *mode* is for a file that is not there yet.
    """
    try:
        before: os.stat_result | None = path.stat()
    except FileNotFoundError:
        before = None
    _write(path, data, mode if before is None else stat.S_IMODE(before.st_mode), before)


def create(path: Path, data: bytes) -> bool:
    """Make a file with *data* that only its owner can read, unless there is one. Return whether it was made.

    Of several that try, one wins, and the others find its whole file. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = _beside(path)
    try:
        _fill(beside, data, 0o600, None)
        try:
            os.link(beside, path)
        except FileExistsError:
            return False
        return True
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, seconds: float) -> Iterator[None]:
    """Hold the lock that *path* is, against other processes and threads; it blocks meanwhile. Raises OSError.

    TimeoutError after *seconds*. The file stays when the lock is given back.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise TimeoutError(f"another process keeps it locked: {path}") from None
                time.sleep(_LOOKED_EVERY)
        yield
    finally:
        os.close(descriptor)


def keep(data: bytes, name: str, directory: Path) -> Path:
    """Keep a copy that only its owner can read, of the last ten; return where. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    moment = time.strftime("%Y%m%d-%H%M%S")
    for number in range(1000):
        kept = directory / (f"{name}.{moment}" + (f".{number}" if number else ""))
        try:
            _fill(kept, data, 0o600, None)
        except FileExistsError:
            continue
        except BaseException:
            kept.unlink(missing_ok=True)
            raise
        break
    copies = sorted(directory.glob(f"{name}.[0-9]*"), key=lambda file: file.stat().st_mtime_ns)
    for old in copies[:-KEPT]:
        old.unlink(missing_ok=True)
    return kept


def _write(path: Path, data: bytes, mode: int, before: os.stat_result | None) -> None:
    real = Path(os.path.realpath(path))
    real.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = _beside(real)
    try:
        _fill(beside, data, mode, before)
        beside.replace(real)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _sync_directory(real.parent)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.tmp.{os.getpid()}.{secrets.token_hex(4)}")


def _fill(path: Path, data: bytes, mode: int, before: os.stat_result | None) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        if before is not None and (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
            _give(descriptor, before)
        os.fchmod(descriptor, mode)
        out.write(data)
        out.flush()
        os.fsync(descriptor)


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
