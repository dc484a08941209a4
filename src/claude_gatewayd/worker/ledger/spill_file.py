"""One file of rows that wait, locked by the one writer that may add to it, or replay and remove it."""

import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec

from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.paths import make_directory

SUFFIX = ".jsonl"
_CHUNK = 256 * 1024  # bytes that are read at a time; no row is longer
_TRIES = 10


class SpillFile:
    """An open file that we have locked. Methods that touch the disk raise OSError."""

    def __init__(self, path: Path, descriptor: int, size: int, rows: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._size = size
        self._start = 0  # where the rows begin that are not written yet
        self._next = 0  # where the rows end that `read` has returned
        self._taken = self._corrupt = 0  # lines between both, and those of them that are no rows
        self._decoder = msgspec.json.Decoder(UsageRecord)
        self.rows = rows

    @classmethod
    def created(cls, directory: Path) -> Self:
        """Create an empty file, and lock it. The names of files sort by time."""
        make_directory(directory)
        for _ in range(_TRIES):
            path = directory / f"{time.time_ns():016x}-{secrets.token_hex(3)}{SUFFIX}"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            if _is_locked(path, descriptor):
                return cls(path, descriptor, 0, 0)
            os.close(descriptor)  # another writer took it for one that was left behind, and has removed it
        raise OSError(f"no file of {_TRIES} could be locked")

    @classmethod
    def adopted(cls, path: Path) -> Self | None:
        """Take over a file; None if another writer has it, or it is gone."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            about = os.fstat(descriptor)
            if stat.S_ISREG(about.st_mode) and _is_locked(path, descriptor):
                return cls(path, descriptor, about.st_size, _lines(descriptor))
        except OSError:
            pass
        os.close(descriptor)
        return None

    @property
    def is_at_end(self) -> bool:
        """Whether every row is written."""
        return self._start >= self._size

    @property
    def is_in_place(self) -> bool:
        """Whether its name still leads to it: a person may remove the state directory while we run."""
        try:
            return self._path.stat().st_ino == os.fstat(self._descriptor).st_ino
        except OSError:
            return False

    def append(self, data: bytes, rows: int) -> None:
        """Add whole lines at the end, all or none."""
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(data)
        self.rows += rows

    def read(self, count: int) -> list[UsageRecord]:
        """Return up to *count* of the first rows; lines between them that are none are passed over. [] at the end."""
        records: list[UsageRecord] = []
        self._next, self._taken, self._corrupt = self._start, 0, 0
        while not records and self._next < self._size:
            chunk = os.pread(self._descriptor, _CHUNK, self._next)
            if not chunk:  # somebody has cut the file
                self._size = self._next
            for line in _whole_lines(chunk):
                if len(records) == count or not chunk:
                    break
                self._next = min(self._next + len(line) + 1, self._size)
                self._taken += 1
                try:
                    records.append(self._decoder.decode(line))
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    self._corrupt += 1
        return records

    def advance(self) -> int:
        """Drop what was read; return how many lines of it were no rows."""
        self._start = self._next
        self.rows = max(0, self.rows - self._taken)
        corrupt, self._taken, self._corrupt = self._corrupt, 0, 0
        return corrupt

    def remove(self) -> None:
        """Remove it, then let go of it: who locks it now finds that it is gone."""
        with suppress(OSError):
            self._path.unlink()
        self.close()

    def close(self) -> None:
        """Let go of it; an empty one is removed."""
        if self.is_at_end:
            with suppress(OSError):
                self._path.unlink()
            self._size = -1
        os.close(self._descriptor)


def _is_locked(path: Path, descriptor: int) -> bool:
    """Lock the file; False if another has it, or had it until it removed it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


def _lines(descriptor: int) -> int:
    count = at = 0
    while chunk := os.pread(descriptor, _CHUNK, at):
        count += chunk.count(b"\n")
        at += len(chunk)
    return count


def _whole_lines(chunk: bytes) -> Iterator[bytes]:
    """Return the lines that end in a piece of a file, all of it where none does: not all at once, as `split` does."""
    end = chunk.rfind(b"\n")
    end = end if end >= 0 else len(chunk)
    at = 0
    while at <= end:
        stop = chunk.find(b"\n", at, end)
        stop = stop if stop >= 0 else end
        yield chunk[at:stop]
        at = stop + 1
