"""What `claude-gatewayctl doctor` finds, for the page: looked for when somebody looks, at most every ten minutes."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from claude_gatewayd.dashboard import command
from claude_gatewayd.dashboard.command import Ran
from claude_gatewayd.errors import GatewayError

_WITHIN: Final = 60.0  # seconds
_GOOD_FOR: Final = 600.0
_VERB: Final = ("doctor", "--json")


async def _doctor() -> Ran:
    return await command.run(*_VERB, seconds=_WITHIN)


class Findings:
    """The last findings. One search at a time; `close` ends it."""

    def __init__(self, search: Callable[[], Awaitable[Ran]] = _doctor, now: Callable[[], float] = time.time) -> None:
        self._search = search
        self._now = now
        self._found: Mapping[str, Any] = {"at": None, "findings": []}
        self._begun: float | None = None
        self._task: asyncio.Task[None] | None = None

    async def answer(self, _query: Mapping[str, str]) -> dict[str, Any]:
        """Return the last findings, and search again if they are old."""
        now = self._now()
        if not self._is_searching and (self._begun is None or not 0 <= now - self._begun < _GOOD_FOR):
            self._begun = now
            self._task = asyncio.create_task(self._run())
        state = "running" if self._is_searching else "done"
        return {"state": state, **self._found}

    async def close(self) -> None:
        """End the search that is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    @property
    def _is_searching(self) -> bool:
        return self._task is not None and not self._task.done()

    async def _run(self) -> None:
        try:
            found = findings_of(await self._search())
        except GatewayError as error:
            found = [_failed(error)]
        self._found = {"at": self._now(), "findings": found}


def findings_of(ran: Ran) -> list[dict[str, Any]]:
    """Return the findings that the verb has printed. Raises GatewayError where it has printed none."""
    try:
        found: list[dict[str, Any]] = json.loads(ran.output)["findings"]
    except (ValueError, LookupError, TypeError):
        raise command.problem(ran, "doctor has found out nothing") from None
    return found


def _failed(error: GatewayError) -> dict[str, Any]:
    """Return that doctor has failed, in the form of what it finds."""
    mend = error.hint or f"claude-gatewayctl {_VERB[0]}"
    return {"check": "doctor", "state": "fail", "found": error.message, "why": "", "mend": mend, "fixable": False}
