"""Questions at a terminal, each with a default that Enter accepts."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from claude_gatewayd.errors import GatewayError

T = TypeVar("T")


def choose(question: str, names: Sequence[str], default: str) -> str:
    """Return one of *names*, chosen by name or by its number, from 0."""

    def read(given: str) -> str:
        if given in names:
            return given
        if given.isdecimal() and int(given) < len(names):
            return names[int(given)]
        raise GatewayError(f"{given} is not one of the choices")

    return ask(question, str(names.index(default)), read)


def agree(question: str, *, default: bool = True) -> bool:
    """Return whether the answer is yes; Enter takes the default."""

    def read(given: str) -> bool:
        if given.lower() in ("y", "yes", "n", "no"):
            return given.lower().startswith("y")
        raise GatewayError("y or n")

    return ask(question, "", lambda given: read(given) if given else default, "Y/n" if default else "y/N")


def ask(question: str, default: str, read: Callable[[str], T], shown: str = "") -> T:
    """Ask until *read* accepts the answer. Raises KeyboardInterrupt at the end of the input."""
    while True:
        print(f"{question} [{shown or default}] ", end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            raise KeyboardInterrupt
        try:
            return read(line.strip() or default)
        except GatewayError as error:
            print(f"  {error.message}" + (f"; {error.hint}" if error.hint else ""))


@contextmanager
def uninterrupted() -> Iterator[Callable[[], bool]]:
    """Defer Ctrl-C to the end of the block; the yielded function says whether it was pressed.

    A second Ctrl-C takes effect at once.
    """
    pressed = False

    def note(_number: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        # not through Python's buffer, which may be in use at this moment
        os.write(sys.stderr.fileno(), b"\nCtrl-C: finishing this step first; press again to stop now\n")

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)
