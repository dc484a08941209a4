"""A daemon's standard output and error: a write to them never fails, and never waits long.

A terminal may be gone or stopped (Ctrl-S), a pipe broken or read by nobody, a disk full, a descriptor closed. None of
these is a reason to leave a request unanswered, so what cannot be written is lost.
"""

import contextlib
import io
import os
import select
import stat
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_WAITS = 0.1  # seconds, for a reader that is slow; once only, until it reads again


class LossyOutput(io.RawIOBase):
    """Write to a descriptor, or lose what it does not take; the next text that it takes says how much is lost."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._output = _reopened(descriptor)
        self._lost = 0
        self._is_patient = True

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether the descriptor is a terminal's."""
        return os.isatty(self._descriptor)

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write *data*, or lose it; return its length in either case."""
        view = memoryview(data).cast("B")
        length = len(view)
        notice = b"[%d bytes of output are lost: they could not be written]\n" % self._lost if self._lost else b""
        with contextlib.suppress(OSError, ValueError):  # ValueError: the descriptor is not one for select()
            if self._written(memoryview(notice)):
                self._lost = 0
                if self._written(view):
                    return length
        self._lost += length
        return length

    def _written(self, view: memoryview) -> bool:
        """Write without waiting long; return whether all was written. Raises OSError."""
        # A pipe that can be written takes PIPE_BUF bytes without blocking. A file takes a record whole, or another
        # process could write in the middle of it.
        most = len(view) if _is_file(self._output) else select.PIPE_BUF
        while view:
            if not select.select((), (self._output,), (), _WAITS if self._is_patient else 0)[1]:
                self._is_patient = False
                return False
            with contextlib.suppress(BlockingIOError):  # another process was faster
                view = view[os.write(self._output, view[:most]) :]
                self._is_patient = True
        return True


def protect() -> None:
    """Replace standard output and error by streams that never fail, and open those that the caller has closed.

    A closed one would be the number of the next file that is opened, and get what is meant for people.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
                os.set_inheritable(descriptor, True)
    sys.stdout, sys.stderr = _stream(1), _stream(2)


def _stream(descriptor: int) -> io.TextIOWrapper:
    buffered = io.BufferedWriter(LossyOutput(descriptor))
    return io.TextIOWrapper(buffered, encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _is_file(descriptor: int) -> bool:
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def _reopened(descriptor: int) -> int:
    """Return a descriptor of our own for a pipe or a terminal, which does not block, or the same one.

    To make the given one non-blocking would do that to all processes that share it, such as the shell.
    """
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            return os.open(f"/dev/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        pass
    return descriptor
