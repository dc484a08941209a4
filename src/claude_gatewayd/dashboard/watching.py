"""Look at the daemon's status while a page is open, and show it where it has changed."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from claude_gatewayd.dashboard.live import STATUS, Live, stamped
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import client

_EVERY: Final = 1.0  # seconds
_EVERY_AT_REST: Final = 3.0  # where nothing happens: each look wakes three processes
_QUIET_FOR: Final = 20.0
_AT_LEAST: Final = 15.0
_ANSWERS_WITHIN: Final = 5.0
_COUNTS_UP: Final = frozenset(("uptime", "memory", "at_rest"))

Look = Callable[[], Awaitable[dict[str, Any]]]


class Watch:
    """What was last shown, and when there was something new."""

    def __init__(self) -> None:
        self._shown: Any = None
        self._shown_at = self._new_at = 0.0

    def is_due(self, status: dict[str, Any], now: float) -> bool:
        """Return whether *status* should be shown: it is another, or the last is old."""
        essence = lasting(status)
        is_new = essence != self._shown
        if is_new:
            self._new_at = now
        if not is_new and now - self._shown_at < _AT_LEAST:
            return False
        self._shown, self._shown_at = essence, now
        return True

    def pause(self, now: float) -> float:
        """Return for how many seconds more than the usual one there need be no look, unless something happens."""
        return 0.0 if now - self._new_at < _QUIET_FOR else _EVERY_AT_REST - _EVERY

    def forget(self) -> None:
        """Have the next status be shown."""
        self._shown = None


async def watch(live: Live, look: Look | None = None) -> None:
    """Do so until cancelled."""
    look, seen = look or _look, Watch()
    last: dict[str, Any] = {}
    while True:
        if not live.is_watched.is_set():
            seen.forget()
            await live.is_watched.wait()
        is_new = live.is_new.is_set()
        live.has_news.clear()
        live.is_new.clear()
        try:
            status = last = await look()
        except GatewayError as error:  # a page keeps what was last so, and says that it cannot be known now
            where = {"where": "the control socket", "message": error.message, "hint": error.hint}
            status = last | {"state": "unreachable", "problems": [where]}
        now = time.monotonic()
        if last and (seen.is_due(status, now) or is_new):
            live.show(STATUS, stamped(status))
            live.has_news.clear()  # which is this
        if not await _comes(live.is_new, _EVERY):
            await _comes(live.has_news, seen.pause(now))


async def _comes(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


async def _look() -> dict[str, Any]:
    """Return the status. Raises GatewayError."""
    return await asyncio.to_thread(client.ask, "status", _ANSWERS_WITHIN)


def lasting(value: Any) -> Any:
    """Return a status without what only counts up."""
    if isinstance(value, dict):
        return {name: lasting(inner) for name, inner in value.items() if name not in _COUNTS_UP}
    return [lasting(inner) for inner in value] if isinstance(value, list) else value
