"""The shared state, as the rest of the worker knows it: a second sender of facts, which costs no request anything."""

import asyncio
import logging
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from claude_gatewayd.config.model import SharedConfig
from claude_gatewayd.errors import GatewayError, run_hint
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.worker.cluster.identity import SharedAccess, daemon_mark
from claude_gatewayd.worker.cluster.link import Ears, Link
from claude_gatewayd.worker.cluster.outbox import FactOutbox
from claude_gatewayd.worker.cluster.state import SharedSnapshot
from claude_gatewayd.worker.ledger.upkeep import Upkeep
from claude_gatewayd.worker.sharing.facts import Fact, UsageWanted
from claude_gatewayd.worker.sharing.sharing import Sharing
from claude_gatewayd.worker.sharing.travels import subject_of, travels

logger = logging.getLogger(__name__)

_CLOSES_WITHIN: Final = 1.0
_AT_ONCE: Final = 50
_END: Final = object()


class Cluster:
    """Send the facts of *sharing* that travel, and hand it those of other gateways. Where it is refused, nothing.

    *holds* returns what we know and the database should; *rejoin* is called when what others have missed is to be
    published again; *on_change* when the status is another.
    """

    def __init__(
        self,
        sharing: Sharing,
        holds: Callable[[], Iterable[Fact]],
        rejoin: Callable[[], None],
        on_change: Callable[[], None],
    ) -> None:
        self._sharing = sharing
        self._holds = holds
        self._rejoin = rejoin
        self._on_change = on_change
        self._outbox = FactOutbox()
        self._work: deque[Iterator[None]] = deque()
        self._link: Link | None = None
        self._upkeep: Upkeep | None = None
        self._off = SharedSnapshot()

    def configure(
        self,
        config: SharedConfig,
        access: SharedAccess,
        listener: socket.socket | None,
        gateway: str,
        environ: Mapping[str, str],
    ) -> None:
        """Share by the database of a configuration, as *gateway*, whose socket *listener* is."""
        try:
            database = Database.of(config.url)
        except GatewayError as error:
            self._off = SharedSnapshot("refused", why=error.message, hint=error.hint, since=time.time())
            return
        if access.keys is None:
            self._off = SharedSnapshot("refused", database.shown, access.why, access.hint, time.time())
            logger.warning("nothing is shared with other gateways: %s%s", access.why, run_hint(access.hint))
            return
        keys, daemon = access.keys, daemon_mark(listener, gateway)
        loop = asyncio.get_running_loop()
        self._upkeep = upkeep = Upkeep(database, 0, environ)

        def connect() -> Any:
            from claude_gatewayd.worker.cluster.session import ClusterMember, ClusterSession  # here: it loads psycopg

            return ClusterSession(database, ClusterMember(daemon, gateway, keys), upkeep)

        def on_loop(call: Callable[..., None], *arguments: object) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(call, *arguments)

        ears = Ears(
            take=lambda facts: on_loop(self._do, self._take(facts)),
            joined=lambda known: on_loop(self._do, self._join(known)),
            lost=lambda: on_loop(self._do, self._share_again()),
            changed=lambda: on_loop(self._on_change),
        )
        self._link = Link(connect, database, self._outbox, ears)
        self._sharing.send_by(self._send)

    def start(self) -> None:
        """Connect, and stay connected."""
        if self._link is not None:
            self._link.start()

    async def close(self) -> None:
        """Send what waits, for a limited time, and leave."""
        if self._link is not None and self._upkeep is not None:
            await asyncio.to_thread(self._upkeep.end)
            await asyncio.to_thread(self._link.close, _CLOSES_WITHIN)

    def snapshot(self) -> dict[str, Any]:
        """Return how it is, for the status."""
        return (self._off if self._link is None else self._link.snapshot).as_dict()

    def _send(self, fact: Fact) -> None:
        if travels(fact) and self._link is not None:
            self._outbox.put(fact)
            self._link.wake()

    def _do(self, work: Iterator[None]) -> None:
        """Do some work after what was begun before. Of thousands of facts, a few at a time: requests go on."""
        self._work.append(work)
        if len(self._work) == 1:
            self._go_on()

    def _go_on(self) -> None:
        for _ in range(_AT_ONCE):
            if next(self._work[0], _END) is _END:
                self._work.popleft()
                if not self._work:
                    return
        asyncio.get_running_loop().call_soon(self._go_on)

    def _take(self, facts: Sequence[Fact]) -> Iterator[None]:
        for fact in facts:
            self._sharing.take(fact)
            yield

    def _join(self, known: frozenset[str]) -> Iterator[None]:
        """Publish what the database does not have, and what others may have missed."""
        for fact in list(self._holds()):
            if subject_of(fact) not in known:
                self._send(fact)
            yield
        self._send(UsageWanted())
        yield from self._share_again()

    def _share_again(self) -> Iterator[None]:
        self._rejoin()
        self._on_change()
        yield
