"""Tell the person what they should know: in the log, on the desktop, by their own command; each once."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from claude_gatewayd.aws.snapshot import Snapshot
from claude_gatewayd.worker.notices.due import Due, NoticeHistory, due, known
from claude_gatewayd.worker.notices.notice import Notice, NoticeRules, active
from claude_gatewayd.worker.notices.store import NoticeStore
from claude_gatewayd.worker.serving import Serving

logger = logging.getLogger(__name__)

Messenger = Callable[[Notice], Awaitable[str]]


class Notices:
    """Look at the credentials and at who serves, and tell what is due by all *messengers*, by name.

    `tick` is called once a second, by the generation that serves and by no other. A messenger returns why it could not.
    """

    def __init__(
        self,
        look: Callable[[], Snapshot],
        serving: Callable[[], Serving],
        rules: NoticeRules,
        kept: NoticeStore,
        messengers: Mapping[str, Messenger],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._look = look
        self._serving = serving
        self._rules = rules
        self._kept = kept
        self._messengers = messengers
        self._clock = clock
        self._history: NoticeHistory | None = None  # it has not been read yet, what an earlier generation has told
        self._telling: asyncio.Task[None] | None = None
        self._active: list[Notice] = []
        self._failing: dict[str, str] = {}
        self._is_faulty = False

    def tick(self) -> None:
        """Look, and begin to tell what is due. Whatever goes wrong is no reason for the caller to fail."""
        try:
            decide, history = self._decide(), self._history
            if history is not None:
                self._active = active(self._look(), known(self._serving(), history), self._clock(), self._rules)
            if self._telling is None and (history is None or decide(history).history is not history):
                self._telling = asyncio.get_running_loop().create_task(self._tell(decide))
                self._telling.add_done_callback(self._done)
        except Exception as error:
            self._fault(error)

    def active(self) -> list[dict[str, Any]]:
        """Return what is true since the last look, for the status."""
        return [notice.as_dict() for notice in self._active]

    async def close(self) -> None:
        """Tell no more."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.wait((self._telling,))

    def _decide(self) -> Callable[[NoticeHistory], Due]:
        """Return the decision about things as they are now: it is made in a thread, which must not look itself."""
        snapshot, serving, now, rules = self._look(), self._serving(), self._clock(), self._rules
        return lambda history: due(snapshot, serving, history, now, rules)

    async def _tell(self, decide: Callable[[NoticeHistory], Due]) -> None:
        notices, self._history = await asyncio.to_thread(self._kept.claim, decide)
        for notice in notices:
            logger.log(logging.WARNING if notice.is_urgent else logging.INFO, "%s", notice.line)
        for notice in notices:
            await asyncio.gather(*(self._send(name, notice) for name in self._messengers))

    async def _send(self, name: str, notice: Notice) -> None:
        why = await self._messengers[name](notice)
        if why and self._failing.get(name) != why:
            logger.warning("%s failed: %s", name, why)
        self._failing[name] = why

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._telling = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fault(error)

    def _fault(self, error: BaseException) -> None:
        """Log it once: it comes again with the next tick."""
        if not self._is_faulty:
            self._is_faulty = True
            logger.error("cannot tell what there is to tell: this is a fault of the daemon", exc_info=error)
