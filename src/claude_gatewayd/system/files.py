"""Atomic writes and the locks that go with them: nobody ever sees half a file, not even after a crash."""

import errno
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from claude_gatewayd.paths import make_directory

KEPT = 10
_POLL_INTERVAL = 0.02


def write(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file of our own by *data*, with *mode*. Raises OSError.

    If *path* is a symlink its target is replaced, by a rename in the target's directory; the symlink stays.
    """
    _write(path, data, mode, None)


def replace(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file of the user's, as `write` does, but keep its mode and owner. Raises OSError.

    *mode* is for a file that does not exist yet.
    """
    try:
        before: os.stat_result | None = path.stat()
    except FileNotFoundError:
        before = None
    _write(path, data, mode if before is None else stat.S_IMODE(before.st_mode), before)


def create(path: Path, data: bytes) -> bool:
    """Create a file with *data* that only its owner can read, unless it exists. Returns whether it was created.

    If several processes try, one wins, and the others find its complete file. Raises OSError.
    """
    make_directory(path.parent)
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
    """Hold the lock file *path*, against other processes and threads. Blocks until then. Raises OSError.

    TimeoutError after *seconds*. The file stays when the lock is released.
    """
    make_directory(path.parent)
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
                time.sleep(_POLL_INTERVAL)
        yield
    finally:
        os.close(descriptor)


def keep(data: bytes, name: str, directory: Path) -> Path:
    """Save a copy that only its owner can read, and delete all but the last ten. Returns its path. Raises OSError."""
    make_directory(directory)
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
    make_directory(real.parent)
    _require_regular(real)
    beside = _beside(real)
    try:
        _fill(beside, data, mode, before)
        beside.replace(real)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _sync_directory(real.parent)


def remove(path: Path) -> None:
    """Remove the file that a symlink leads to, if it is there; the symlink stays. Raises OSError."""
    real = Path(os.path.realpath(path))
    _require_regular(real)
    real.unlink(missing_ok=True)


def _require_regular(path: Path) -> None:
    """Raise OSError for what is no file: in place of a device, such as /dev/null, everybody would get one of ours."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))


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
    """Give the file to its previous owner, if we may."""
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
