"""A person at the real Claude Code: an interactive session in a pseudo-terminal."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.scenarios.client.claude import Claude, binary_of
from tests.scenarios.client.screen import Screen
from tests.support.terminal import Terminal

ENTER: Final = "\r"
DOWN: Final = "\x1b[B"
INPUT: Final = "❯"  # what stands before the line that one types into
PATIENCE: Final = 40.0


def seen_before(work: Path, version: str) -> dict[str, object]:
    """Return the state of a client that asks nothing at its start: the folder is trusted, the theme chosen."""
    trusted = {str(work): {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}}
    return {"hasCompletedOnboarding": True, "lastOnboardingVersion": version, "theme": "dark", "projects": trusted}


class Session:
    """A client that somebody types into. What it prints is read while one waits, for it waits for its terminal."""

    def __init__(self, claude: Claude, *arguments: str) -> None:
        work = claude.prepare()
        state = claude.home / ".claude" / ".claude.json"
        known = json.loads(state.read_text()) if state.exists() else {}
        state.write_text(json.dumps({**seen_before(work, claude.version), **known}))
        self._screen = Screen(120, 40)
        command = [str(binary_of(claude.version)), *arguments]
        self._terminal = Terminal(command, claude.environment(), columns=120, rows=40, cwd=work)

    def __enter__(self) -> Self:
        try:
            self.until(INPUT)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print(f"--- the screen ---\n{self._screen.text}")
        self._terminal.__exit__(kind, error, trace)

    def until(self, text: str, seconds: float = PATIENCE) -> None:
        """Return when a text is on the screen, wherever its lines are broken."""
        self.wait(lambda: self._screen.shows(text), f"{text!r} on the screen", seconds)

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
        """Return when a condition holds."""
        assert self._read_for(seconds, condition), f"no {what} in {seconds:g} s:\n{self._screen.text}"

    def say(self, prompt: str) -> None:
        """Type a prompt that is not on the screen yet, and send it when it stands there."""
        assert not self._screen.shows(prompt)
        self._terminal.press(prompt)
        self.until(prompt)
        self._terminal.press(ENTER)

    def press(self, keys: str, done: Callable[[Screen], bool]) -> None:
        """Press keys until that has had its effect."""
        self._read_for(0.5)  # a dialog takes no keys in its first moments, and shows nothing of that
        for _ in range(5):
            self._terminal.press(keys)
            if self._read_for(4, lambda: done(self._screen)):
                return
        raise AssertionError(f"{keys!r} is not taken:\n{self._screen.text}")

    def answer(self, question: str, keys: str) -> None:
        """Wait for a question, and press keys until it is gone."""
        self.until(question)
        self.press(keys, lambda screen: not screen.shows(question))

    def _read_for(self, seconds: float, condition: Callable[[], bool] = lambda: False) -> bool:
        """Read what is printed until a condition holds; tell whether it came to that in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            self._screen.feed(self._terminal.take(0.05))
        return True
