"""Send notices to the person: to the log, the desktop and their own command, each notice once."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from claude_gatewayd.aws.snapshot import CredentialSnapshot
from claude_gatewayd.worker.notices.due import Due, NoticeHistory, due, with_known_start
from claude_gatewayd.worker.notices.notice import Notice, NoticeRules, active
from claude_gatewayd.worker.notices.store import NoticeStore
from claude_gatewayd.worker.serving import Serving
from claude_gatewayd.worker.usage.budget import BudgetState

logger = logging.getLogger(__name__)

Messenger = Callable[[Notice], Awaitable[str]]


class Notices:
    """Watch the credentials, who serves and the month's budget, and send what is due by every one of *messengers*.

    Only the generation that serves calls `tick`, once a second. A messenger returns why it failed, "" if it did not.
    """

    def __init__(
        self,
        credentials: Callable[[], CredentialSnapshot],
        serving: Callable[[], Serving],
        budget: Callable[[], BudgetState],
        rules: NoticeRules,
        store: NoticeStore,
        messengers: Mapping[str, Messenger],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._credentials = credentials
        self._serving = serving
        self._budget = budget
        self._rules = rules
        self._store = store
        self._messengers = messengers
        self._clock = clock
        self._history: NoticeHistory | None = None  # None until the store has been read
        self._sending: asyncio.Task[None] | None = None
        self._active: list[Notice] = []
        self._failing: dict[str, str] = {}
        self._has_faulted = False

    def tick(self) -> None:
        """Begin to send what is due. Never raises: a fault here must not end the worker."""
        try:
            decide, history = self._decide(), self._history
            if history is not None:
                serving, now = with_known_start(self._serving(), history), self._clock()
                self._active = active(self._credentials(), serving, now, self._rules, self._budget())
            if self._sending is None and (history is None or decide(history).history is not history):
                self._sending = asyncio.get_running_loop().create_task(self._send_due(decide))
                self._sending.add_done_callback(self._on_sent)
        except Exception as error:
            self._log_fault(error)

    def active(self) -> list[dict[str, Any]]:
        """Return what was true at the last tick, sent or not, for the status."""
        return [notice.as_dict() for notice in self._active]

    async def close(self) -> None:
        """Stop sending."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait((self._sending,))

    def _decide(self) -> Callable[[NoticeHistory], Due]:
        """Return the decision about things as they are now, for the thread of the store, which must not read them."""
        snapshot, serving, budget = self._credentials(), self._serving(), self._budget()
        now, rules = self._clock(), self._rules
        return lambda history: due(snapshot, serving, history, now, rules, budget)

    async def _send_due(self, decide: Callable[[NoticeHistory], Due]) -> None:
        notices, self._history = await asyncio.to_thread(self._store.claim, decide)
        for notice in notices:
            logger.log(logging.WARNING if notice.is_urgent else logging.INFO, "%s", notice.line)
        for notice in notices:
            await asyncio.gather(*(self._deliver(name, notice) for name in self._messengers))

    async def _deliver(self, name: str, notice: Notice) -> None:
        why = await self._messengers[name](notice)
        if why and self._failing.get(name) != why:
            logger.warning("%s failed: %s", name, why)
        self._failing[name] = why

    def _on_sent(self, task: "asyncio.Task[None]") -> None:
        self._sending = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log_fault(error)

    def _log_fault(self, error: BaseException) -> None:
        """Log the first fault only: it comes again with every tick."""
        if not self._has_faulted:
            self._has_faulted = True
            logger.error("cannot send notices: this is a fault of the daemon", exc_info=error)
