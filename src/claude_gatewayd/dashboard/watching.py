"""Look at the daemon's status while a page is open, and show it where it has changed."""

import asyncio
import time
from typing import Any, Final

from claude_gatewayd.dashboard.live import Live, stamped
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import client

_EVERY: Final = 1.0  # seconds
_AT_LEAST: Final = 15.0
_ANSWERS_WITHIN: Final = 5.0
_COUNTS_UP: Final = frozenset(("uptime", "memory", "at_rest"))


async def watch(live: Live) -> None:
    """Do so until cancelled."""
    shown: Any = None
    shown_at = 0.0
    while True:
        if not live.is_watched.is_set():
            shown = None
            await live.is_watched.wait()
        status = await _look()
        essence, now = lasting(status), time.monotonic()
        if essence != shown or now - shown_at >= _AT_LEAST:
            shown, shown_at = essence, now
            live.show("status", stamped(status))
        await asyncio.sleep(_EVERY)


async def _look() -> dict[str, Any]:
    """Return the status; one with nothing but a problem, if the daemon does not answer."""
    try:
        return await asyncio.to_thread(client.ask, "status", _ANSWERS_WITHIN)
    except GatewayError as error:
        where = {"where": "the control socket", "message": error.message, "hint": error.hint}
        return {"state": "unreachable", "problems": [where]}


def lasting(value: Any) -> Any:
    """Return a status without what only counts up."""
    if isinstance(value, dict):
        return {name: lasting(inner) for name, inner in value.items() if name not in _COUNTS_UP}
    return [lasting(inner) for inner in value] if isinstance(value, list) else value
