"""Our own log file, for systems without a journal. Several processes write to it; it is rotated by size."""

import fcntl
import logging
import os
import re
import stat
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path

from claude_gatewayd.errors import GatewayError, list_command
from claude_gatewayd.paths import make_directory

_MAX_SIZE = 5 * 1024 * 1024
_KEPT = 3
STAMP = "%Y-%m-%d %H:%M:%S"

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_AGO = re.compile(r"-?(\d+) ?(s|m|h|d)[a-z]*( ago)?")
_FORMS = (STAMP, "%Y-%m-%d %H:%M", "%Y-%m-%d")


class RotatedFile(logging.Handler):
    """Append to a file that other processes append to. Whoever finds it full rotates it; the others reopen it.

    Whatever happens to the file, the directory or the disk, a call of the logger does not fail and does not wait. A
    line that cannot be written goes to *elsewhere*, with the reason when that is new; each line tries the file again.
    """

    def __init__(self, path: Path, elsewhere: Callable[[str], None], most: int = _MAX_SIZE) -> None:
        super().__init__()
        self._path = path
        self._elsewhere = elsewhere
        self._most = most
        self._descriptor = -1
        self._trouble = ""
        self._is_cut = False  # a full disk took the beginning of a line

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, and rotate the file if it is full."""
        try:
            text = self.format(record) + "\n"
        except Exception as error:  # of the arguments: any code at all
            text = f"a record of {record.name} cannot be formatted: {type(error).__name__}\n"
        try:
            self._write(text.encode(errors="backslashreplace"))
            self._trouble = ""
        except OSError as error:
            trouble = f"cannot log to {self._path}: {error.strerror or error}\n"
            if trouble != self._trouble:
                self._trouble, text = trouble, trouble + text
            self._elsewhere(text)

    def close(self) -> None:
        """Close the file."""
        with self.lock or nullcontext():
            self._close()
        super().close()

    def _write(self, data: bytes) -> None:
        status = self._open()
        is_full = stat.S_ISREG(status.st_mode) and status.st_size + len(data) > self._most
        if self._is_cut:
            data = b"\n" + data
        while data:
            data = data[os.write(self._descriptor, data) :]
            self._is_cut = bool(data)
        if is_full:
            self._rotate()

    def _open(self) -> os.stat_result:
        """Open the file, unless that is open which has its name; return its status. Raises OSError."""
        with suppress(FileNotFoundError):
            named = os.stat(self._path)
            if self._descriptor >= 0 and os.path.samestat(named, os.fstat(self._descriptor)):
                return named
        self._close()
        make_directory(self._path.parent)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOCTTY | os.O_CLOEXEC
        # a named pipe that nobody reads would make us wait
        self._descriptor = os.open(self._path, flags | os.O_NONBLOCK, 0o600)
        status = os.fstat(self._descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
            os.fchmod(self._descriptor, 0o600)
        return status

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):  # what a network's file system could not write
                os.close(descriptor)

    def _rotate(self) -> None:
        lock = os.open(self._path.parent, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._path.stat().st_size > self._most:  # no other process was quicker
                for number in range(_KEPT, 0, -1):
                    older = _numbered(self._path, number - 1)
                    if older.exists():
                        older.replace(_numbered(self._path, number))
        except (BlockingIOError, FileNotFoundError):
            pass  # another process rotates it
        finally:
            os.close(lock)


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
        file = _numbered(path, number)
        try:
            if not stat.S_ISREG(file.stat().st_mode):  # a named pipe would make us wait
                raise GatewayError(f"cannot read {file}: it is something else than a file", list_command(file))
            text = file.read_text(errors="replace")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise GatewayError(f"cannot read {path}: {error.strerror}", list_command(path)) from None
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
