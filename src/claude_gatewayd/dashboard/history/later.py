"""The history, loaded once pages are served: with SQLAlchemy that takes 0.2 s, and the page itself needs none of it."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from claude_gatewayd.system.threads import in_thread

if TYPE_CHECKING:
    from claude_gatewayd.dashboard.history.history import History


class HistoryLater:
    """A `History` that is made beside the loop."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._making: asyncio.Task[History] | None = None
        self._reading: asyncio.Task[Any] | None = None

    def begin(self) -> None:
        """Load it, and read what pages usually show: until a browser has loaded the page and asks, that may be done."""
        self._reading = asyncio.create_task(self.answer({}))

    async def answer(self, query: Mapping[str, str]) -> Mapping[str, Any]:
        """Return the document that the fields of a query ask for."""
        if self._making is None:
            self._making = asyncio.create_task(in_thread(self._make))
        history = await asyncio.shield(self._making)
        return await history.answer(query)

    def _make(self) -> "History":
        from claude_gatewayd.dashboard.history.history import History

        return History(self._environ)
