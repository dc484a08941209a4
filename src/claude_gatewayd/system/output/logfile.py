"""Our own log file, for systems without a journal. Several processes write to it; it is rotated by size."""

import fcntl
import logging.handlers
import os
import re
import time
from pathlib import Path

from claude_gatewayd.errors import GatewayError

_MAX_SIZE = 5 * 1024 * 1024
_KEPT = 3
STAMP = "%Y-%m-%d %H:%M:%S"

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_AGO = re.compile(r"-?(\d+) ?(s|m|h|d)[a-z]*( ago)?")
_FORMS = (STAMP, "%Y-%m-%d %H:%M", "%Y-%m-%d")


class RotatedFile(logging.handlers.WatchedFileHandler):
    """Append to a file that other processes append to. Whoever finds it full rotates it; the others reopen it."""

    def __init__(self, path: Path, most: int = _MAX_SIZE) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = path
        self._most = most
        super().__init__(path, encoding="utf-8", errors="replace")
        os.chmod(path, 0o600)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, and rotate the file if it is full."""
        super().emit(record)
        try:
            if self._path.stat().st_size > self._most:
                self._rotate()
        except (OSError, ValueError):
            self.handleError(record)

    def _rotate(self) -> None:
        lock = os.open(self._path.parent, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self._path.stat().st_size > self._most:  # no other process was quicker
                for number in range(_KEPT, 0, -1):
                    older = _numbered(self._path, number - 1)
                    if older.exists():
                        older.replace(_numbered(self._path, number))
        finally:
            os.close(lock)
        self.reopenIfNeeded()
        os.chmod(self._path, 0o600)


def truncate(path: Path, most: int = _MAX_SIZE) -> None:
    """Empty a file that has grown too large and is never rotated."""
    try:
        if path.stat().st_size > most:
            os.truncate(path, 0)
    except FileNotFoundError:
        pass


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}") if number else path


def read(path: Path, lines: int | None, since: str) -> str:
    """Return the last *lines* of the log, rotated files included, of those that are not before *since*."""
    kept: list[str] = []
    takes = not since
    for number in range(_KEPT, -1, -1):
        try:
            text = _numbered(path, number).read_text(errors="replace")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise GatewayError(f"cannot read {path}: {error.strerror}", f"ls -l '{path}'") from None
        for line in text.splitlines(keepends=True):
            if re.match(r"\d{4}-\d\d-\d\d \d\d:", line):  # other lines continue the record before
                takes = line >= since
            if takes:
                kept.append(line)
    return "".join(kept if lines is None else kept[-lines:] if lines else [])


def parse_time(text: str, now: float) -> str:
    """Return a time as typed (09:30, 2026-11-25 09:30, 2h ago, today) in the format of the log."""
    today = time.strftime("%Y-%m-%d", time.localtime(now))
    if text == "today":
        return f"{today} 00:00:00"
    if ago := _AGO.fullmatch(text):
        return time.strftime(STAMP, time.localtime(now - int(ago[1]) * _UNITS[ago[2]]))
    full = f"{today} {text}" if re.match(r"\d\d?:", text) else text
    for form in _FORMS:
        try:
            return time.strftime(STAMP, time.strptime(full, form))
        except ValueError:
            continue
    raise GatewayError(f"cannot read the time {text!r}", "claude-gatewayctl logs --since '1h ago'")
