"""Progress on a terminal: a line on standard error that counts seconds and disappears at the end."""

import sys
import threading
from types import TracebackType
from typing import Self

from claude_gatewayd.printable import one_line, unguarded

_QUIET_FOR = 0.7  # seconds; anything shorter needs no progress line
_EVERY = 1.0


class Progress:
    """Show what the block is waiting for while it runs. Not a terminal: show nothing.

    Output of the block goes through `say`: anything else would be written into the line.
    """

    def __init__(self, what: str, quiet_for: float = _QUIET_FOR) -> None:
        self.detail = ""  # what is happening right now
        self._what = what
        self._quiet_for = quiet_for
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._thread = threading.Thread(target=self._count, name="progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _count(self) -> None:
        if self._over.wait(self._quiet_for):
            return
        seconds = 0
        while True:
            passed = f" {seconds} s" if seconds else ""
            show(f"{self._what} …{passed}" + (f"  {self.detail}" if self.detail else ""))
            seconds += 1
            if self._over.wait(_EVERY):
                break
        clear()


def show(line: str) -> None:
    """Replace the progress line. Only for a terminal."""
    import shutil

    width = shutil.get_terminal_size().columns
    line = one_line(line)
    _draw(f"\r\x1b[K{line if len(line) < width else line[: width - 2] + '…'}")


def say(text: str) -> None:
    """Print a lasting line on standard error in place of the progress line."""
    if sys.stderr.isatty():
        clear()
    print(text, file=sys.stderr, flush=True)


def clear() -> None:
    """Erase the progress line. Only for a terminal."""
    _draw("\r\x1b[K")


def _draw(what: str) -> None:
    print(what, end="", file=unguarded(sys.stderr), flush=True)
