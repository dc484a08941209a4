"""What open pages are sent as it happens, as server-sent events: each has a bounded queue of its own."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from claude_gatewayd.dashboard.words import words

Row = dict[str, Any]

STATUS: Final = "status"
_ROWS: Final = 200  # a page begins with so many
_MOST_QUEUED: Final = 2000  # rows for a page that is slow
_PING_EVERY: Final = 15.0
_RETRY: Final = b"retry: 1000\n\n"
_PING: Final = b": ping\n\n"


def event(name: str, data: Any) -> bytes:
    """Return a server-sent event."""
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(data) + b"\n\n"


class OpenPage:
    """One open page: what it has yet to be sent. Of what shows a state only the last is kept."""

    def __init__(self) -> None:
        self.is_closed = False
        self._states: dict[str, Any] = {}
        self._rows: deque[Row] = deque()
        self._missed = 0
        self._filled = asyncio.Event()

    def show(self, name: str, data: Any) -> None:
        """Send a state, in place of one that has not been sent yet."""
        self._states[name] = data
        self._filled.set()

    def add(self, rows: list[Row], missed: int) -> None:
        """Send rows. A page that is slow misses the oldest."""
        self._rows.extend(rows)
        self._missed += missed
        while len(self._rows) > _MOST_QUEUED:
            self._rows.popleft()
            self._missed += 1
        if rows or missed:
            self._filled.set()

    def close(self) -> None:
        """End its stream."""
        self.is_closed = True
        self._filled.set()

    async def events(self) -> AsyncIterator[bytes]:
        """Yield what it is sent, and a ping where that is nothing for a while."""
        yield _RETRY
        while not self.is_closed:
            try:
                async with asyncio.timeout(_PING_EVERY):
                    await self._filled.wait()
            except TimeoutError:
                yield _PING
                continue
            self._filled.clear()
            if taken := self._taken():
                yield b"".join(taken)

    def _taken(self) -> list[bytes]:
        states, self._states = self._states, {}
        rows, missed = list(self._rows), self._missed
        self._rows.clear()
        self._missed = 0
        taken = [event(name, data) for name, data in states.items()]
        if missed:
            taken.append(event("missed", {"requests": missed}))
        if rows:
            taken.append(event("requests", rows))
        return taken


class Live:
    """All open pages, and what a new one begins with."""

    def __init__(self) -> None:
        self._pages: set[OpenPage] = set()
        self._rows: deque[Row] = deque(maxlen=_ROWS)
        self._states: dict[str, Any] = {}
        self._has_ended = False
        self.is_watched = asyncio.Event()  # a page is open
        self.is_new = asyncio.Event()  # one that has no status yet
        self.has_news = asyncio.Event()  # something has happened, so the status is another

    def open(self) -> OpenPage:
        """Return a new page, with the last rows and states."""
        page = OpenPage()
        for name, data in self._states.items():
            if name != STATUS:  # its time would be another: it is looked at now
                page.show(name, data)
        page.add(sorted(self._rows, key=_began), 0)
        if self._has_ended:
            page.close()
        self._pages.add(page)
        self.is_watched.set()
        self.is_new.set()
        self.has_news.set()
        return page

    def leave(self, page: OpenPage) -> None:
        """Forget a page that has gone."""
        self._pages.discard(page)
        if not self._pages:
            self.is_watched.clear()

    def take(self, message: dict[str, Any]) -> None:
        """Take a line of the feed. Several workers may name the same request, each when it is asked for the last."""
        known = {row.get("id") for row in self._rows}
        records = [record for record in message.get("requests", ()) if record.get("id") not in known]
        rows = [record | {"words": words(record)} for record in records]
        self._rows.extend(rows)
        self.has_news.set()
        for page in self._pages:
            page.add(rows, int(message.get("missed", 0)))

    def show(self, name: str, data: Any) -> None:
        """Send a state to all pages, and to those that come."""
        self._states[name] = data
        self.has_news.set()
        for page in self._pages:
            page.show(name, data)

    def forget(self, name: str) -> None:
        """Have pages that come from now on begin without a state."""
        self._states.pop(name, None)

    def end(self) -> None:
        """End all streams: the process ends."""
        self._has_ended = True
        for page in self._pages:
            page.close()


def _began(row: Row) -> float:
    return float(row.get("started_at", 0.0))


def stamped(status: dict[str, Any]) -> dict[str, Any]:
    """Return a status with the time at which it was so."""
    return status | {"now": time.time()}
