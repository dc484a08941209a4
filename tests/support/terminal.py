"""A terminal window of a test's own, with a program in it."""

import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self


class Window:
    """A terminal with a program in it."""

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
        script = (  # what a terminal window does for the program in it
            "import fcntl,os,sys,termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
            "os.execv(sys.argv[1], sys.argv[1:])"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, *command],
            env={**environ, "TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd,
        )  # fmt: skip
        os.close(theirs)
        self.shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def until(self, text: str, seconds: float = 20.0) -> str:
        """Return what is shown up to *text*, since the last time."""
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            assert select.select([self._ours], [], [], max(0.0, deadline - time.monotonic()))[0], self.shown
            self.shown += os.read(self._ours, 65536).decode(errors="replace")
        before, _, self.shown = self.shown.partition(text)
        return before + text

    def read(self, seconds: float = 0.05) -> bool:
        """Take in what the program prints within a moment; tell whether there was any."""
        if not select.select([self._ours], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # Linux says so when nobody has the other end any more
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)

    def rest(self, seconds: float = 60.0) -> str:
        """Return what is shown until the program ends."""
        deadline = time.monotonic() + seconds
        while True:
            assert select.select([self._ours], [], [], max(0.0, deadline - time.monotonic()))[0], self.shown
            try:
                self.shown += os.read(self._ours, 65536).decode(errors="replace")
            except OSError:  # nobody is at the other end any more
                shown, self.shown = self.shown, ""
                return shown

    def key(self, text: str) -> None:
        """Press keys."""
        os.write(self._ours, text.encode())
