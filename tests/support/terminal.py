"""A terminal window of a test's own, with a program in it: what it shows, and what a person types."""

import fcntl
import os
import re
import select
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

CTRL_C: Final = "\x03"
CTRL_D: Final = "\x04"

# What a terminal window does for the program in it: Ctrl-C is then for all that runs in the foreground.
_IN_A_SESSION: Final = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """A program that leads a session on a pseudo-terminal, and a thread that reads what it shows."""

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        columns: int = 100,
        rows: int = 30,
        cwd: Path | None = None,
    ) -> None:
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _IN_A_SESSION, *command],
                env={**environ, "TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd,
            )  # fmt: skip
        finally:
            os.close(theirs)
        self._got = b""
        self._taken = 0  # how much of what is shown a test has taken in
        self._is_over = False
        self._news = threading.Condition()
        self._shut, shut = socket.socketpair()
        self._reader = threading.Thread(target=self._read, args=(shut,))
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print(f"--- the terminal ---\n{self.shown}")
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.close()

    @property
    def shown(self) -> str:
        """All that the program has printed, escapes and all."""
        return self._got.decode(errors="replace")

    @property
    def text(self) -> str:
        """What a person can read there: lines that were taken away again are not among it."""
        return re.sub(r"[^\n]*\r\x1b\[K", "", self.shown.replace("\r\n", "\n"))

    def until(self, text: str, seconds: float = 60.0) -> str:
        """Return what is shown up to *text*, since the last time; wait for it."""
        assert self._wait(lambda: text in self.shown[self._taken :], seconds), f"no {text!r} in\n{self.shown}"
        before = self.shown[self._taken :].partition(text)[0]
        self._taken += len(before + text)
        return before + text

    def take(self, seconds: float = 0.0) -> str:
        """Return what is shown since the last time; wait so long for something."""
        self._wait(lambda: len(self.shown) > self._taken, seconds)
        new = self.shown[self._taken :]
        self._taken += len(new)
        return new

    def rest(self, seconds: float = 60.0) -> str:
        """Return what is shown until the program ends, since the last time."""
        assert self._wait(lambda: self._is_over, seconds), f"it does not end:\n{self.shown}"
        return self.take()

    def end(self, seconds: float = 120.0) -> int:
        """Return the exit status, when all that was shown has been read."""
        assert self._wait(lambda: self._is_over, seconds), f"it does not end:\n{self.shown}"
        return self.process.wait(seconds)

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self._ours, keys.encode())

    def answer(self, question: str, answer: str = "") -> None:
        """Wait for a question, and answer it."""
        self.until(question)
        self.press(f"{answer}\n")

    def close(self) -> None:
        """Close the window, as by a click: the program gets a hang-up."""
        if self._shut.fileno() >= 0:
            self._shut.close()
            self._reader.join()  # while somebody reads, the terminal stays
            os.close(self._ours)

    def _wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Return whether it comes to that in time, or before the program ends."""
        deadline = time.monotonic() + seconds
        with self._news:
            while not condition():
                if self._is_over or not self._news.wait(max(0.0, deadline - time.monotonic())):
                    return condition()
        return True

    def _read(self, shut: socket.socket) -> None:
        with shut:
            while shut.fileno() not in select.select([self._ours, shut.fileno()], [], [])[0]:
                try:
                    data = os.read(self._ours, 65536)
                except OSError:  # so Linux says that nobody has the other end any more
                    data = b""
                with self._news:
                    self._got += data
                    self._is_over = not data
                    self._news.notify_all()
                if not data:
                    return
