"""`status --watch`: the status, redrawn on a terminal, printed one after the other in a pipe."""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from claude_gatewayd import printable
from claude_gatewayd.ctl.terminal import colour, text
from claude_gatewayd.ctl.terminal.output import DONE
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import client

_EVERY = 2.0
_ANSWERS_WITHIN = 5.0
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"  # the other screen, without a cursor, and back
_HOME, _REST_OF_LINE, _REST = "\x1b[H", "\x1b[K", "\x1b[J"


def status(*, in_json: bool) -> int:
    """Show the status every two seconds until Ctrl-C, also while no daemon is running: it may come back."""
    on_terminal = sys.stdout.isatty() and not in_json
    with _screen() if on_terminal else _nothing_to_restore():
        try:
            while True:
                if in_json:
                    print(json.dumps(_status()), flush=True)
                elif on_terminal:
                    _draw(frame(printable.lines(_plain()), *shutil.get_terminal_size()))
                else:
                    print(_plain(), end="\n\n", flush=True)
                time.sleep(_EVERY)
        except KeyboardInterrupt:
            return DONE  # the usual way to leave it


def frame(plain: str, columns: int, rows: int) -> str:
    """Return what draws *plain* over the screen, cut to the window: a wrapped line would scroll the first one away."""
    lines = [line if len(line) <= columns else f"{line[: columns - 1]}…" for line in plain.split("\n")]
    if len(lines) > rows - 1:
        lines = [*lines[: rows - 2], "…"]
    shown = "\n".join(lines)
    painted = colour.status(shown) if colour.wanted(sys.stdout, os.environ) else shown
    return _HOME + "".join(f"{line}{_REST_OF_LINE}\r\n" for line in painted.split("\n")) + _REST


def _status() -> dict[str, object]:
    try:
        return client.ask("status", _ANSWERS_WITHIN)
    except GatewayError as error:
        return {"state": "down" if isinstance(error, client.NotRunning) else "silent", "why": error.message}


def _plain() -> str:
    now = time.time()
    try:
        shown = text.status(client.ask("status", _ANSWERS_WITHIN), now)
    except GatewayError as error:
        shown = f"down  {error.message}\n  {error.hint}" if error.hint else f"down  {error.message}"
    return f"{shown}\n  at           {time.strftime('%H:%M:%S', time.localtime(now))}"


@contextmanager
def _screen() -> Iterator[None]:
    """Use the terminal's alternate screen, and restore it however the program ends."""

    def end(number: int, _frame: object) -> NoReturn:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
    _draw(_ENTER)
    try:
        yield
    finally:
        _draw(_LEAVE)


def _draw(what: str) -> None:
    print(what, end="", file=printable.unguarded(sys.stdout), flush=True)


@contextmanager
def _nothing_to_restore() -> Iterator[None]:
    yield
