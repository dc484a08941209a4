"""Questions to a person at a terminal, each with an answer that is taken by Enter alone."""

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
    """Return one of *names*, by its number in them from 0 on, or by itself."""

    def read(given: str) -> str:
        if given in names:
            return given
        if given.isdecimal() and int(given) < len(names):
            return names[int(given)]
        raise GatewayError(f"{given} is not one of the choices")

    return ask(question, str(names.index(default)), read)


def agree(question: str) -> bool:
    """Return whether the answer is yes, which it is by Enter alone."""

    def read(given: str) -> bool:
        if given.lower() in ("y", "yes", "n", "no"):
            return given.lower().startswith("y")
        raise GatewayError("y or n")

    return ask(question, "", lambda given: not given or read(given), "Y/n")


def ask(question: str, default: str, read: Callable[[str], T], shown: str = "") -> T:
    """Ask until *read* takes the answer. Raises KeyboardInterrupt where the input ends."""
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
    """Let what is begun come to its end before Ctrl-C counts, and say then whether it was pressed.

    A second Ctrl-C counts at once.
    """
    pressed = False

    def note(_number: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        # past Python's own buffer, in which it may be writing just now
        os.write(sys.stderr.fileno(), b"\nCtrl-C: finishing this step first; press again to stop now\n")

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)
