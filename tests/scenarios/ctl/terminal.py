"""A person at a terminal: what a program shows there, and what is typed."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

# What a terminal window does for the program in it: Ctrl-C is then for all that runs in the foreground.
_IN_A_SESSION = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)
CTRL_C, CTRL_D = "\x03", "\x04"


class Terminal:
    """A program that leads a session on a pseudo-terminal."""

    def __init__(self, command: list[str], environ: Mapping[str, str], directory: Path) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _IN_A_SESSION, *command],
            env=dict(environ), cwd=directory, stdin=theirs, stdout=theirs, stderr=theirs,
        )  # fmt: skip
        os.close(theirs)
        self._got = b""
        self._looked_at = 0

    def read_until(self, text: str, seconds: float = 60.0) -> None:
        """Return when *text* has come that was not there the last time."""
        deadline = time.monotonic() + seconds
        while text not in self._shown[self._looked_at :]:
            assert self._read(deadline - time.monotonic()), f"{text!r} does not come:\n{self.text}"
        self._looked_at = self._shown.index(text, self._looked_at) + len(text)

    def answer(self, question: str, answer: str = "") -> None:
        """Wait for a question, and answer it."""
        self.read_until(question)
        self.press(f"{answer}\n")

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self._ours, keys.encode())

    def end(self, seconds: float = 120.0) -> int:
        """Return the exit status, when all that was shown has been read."""
        deadline = time.monotonic() + seconds
        while self._read(deadline - time.monotonic()):
            pass
        return self._process.wait(max(1.0, deadline - time.monotonic()))

    @property
    def text(self) -> str:
        """What stands there: lines that were taken away again are not among it."""
        return re.sub(r"[^\n]*\r\x1b\[K", "", self._shown)

    @property
    def _shown(self) -> str:
        return self._got.decode(errors="replace").replace("\r\n", "\n")

    def _read(self, seconds: float) -> bool:
        """Read what is there, or comes; say whether there may be more."""
        if not select.select([self._ours], [], [], max(0.0, seconds))[0]:
            return False
        try:
            got = os.read(self._ours, 65536)
        except OSError:  # nobody has the other end any more
            return False
        self._got += got
        return bool(got)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)
