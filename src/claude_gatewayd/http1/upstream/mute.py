"""A connection that was idle may have gone mute (half-open): dropped without a packet by a VPN, a NAT, a sleep.

TCP retransmits for a minute and more before it reports that. So a request that has heard nothing on such a connection
for a few seconds gets a second one beside it. It must not be paid for twice: one that may not be repeated is sent again
only if the peer's TCP has not acknowledged it, and after the first connection has been reset, with whatever was still
in flight.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from claude_gatewayd.http1.head import ResponseHead
from claude_gatewayd.http1.upstream.connection import UpstreamConnection
from claude_gatewayd.http1.upstream.failure import UpstreamFailed
from claude_gatewayd.http1.upstream.pool import Pool

logger = logging.getLogger(__name__)

QUIET = 3.0  # seconds without a byte, after which it is looked at
_STILL = 1.0  # seconds without an acknowledgement of what is in flight

Found = tuple[UpstreamConnection, ResponseHead]


class Resend(NamedTuple):
    """How a request is made once more.

    *send* sends it. *repeatable* says that it may be done twice: then whoever answers first wins. *until* and *longer*
    are how long its answer is waited for.
    """

    send: Callable[[UpstreamConnection], None]
    repeatable: bool
    until: float
    longer: Callable[[], Awaitable[float]] | None = None

    def answer_of(self, connection: UpstreamConnection) -> "asyncio.Task[ResponseHead]":
        """Wait for the answer on one connection."""
        seconds = max(0.0, self.until - connection.loop.time())
        return asyncio.create_task(connection.answer(seconds, self.longer))


async def answer(connection: UpstreamConnection, pool: Pool, again: Resend, *, still: float = _STILL) -> Found:
    """Return the answer to what was sent on *connection*, and the connection that it comes on.

    Of the connections that have not answered none is left open. Raises UpstreamFailed.
    """
    first = again.answer_of(connection)
    try:
        found = await _beside(connection, first, pool, again, still)
        return found if found is not None else (connection, await first)
    finally:
        _drop(first)


async def _beside(
    connection: UpstreamConnection,
    first: asyncio.Task[ResponseHead],
    pool: Pool,
    again: Resend,
    still: float,
) -> Found | None:
    """Return what a second connection has brought; None: it is the *first* that answers, or fails."""
    mute = await _is_mute(connection, first, still)
    if first.done() or not (mute or (again.repeatable and connection.unacknowledged() is not None)):
        return None
    if mute:
        logger.info("a connection that was idle has gone mute: asking on a new one")
        pool.empty()  # the others are as old, and as likely mute
    try:
        second = await _connect(first, pool)
    except UpstreamFailed:
        if not mute or first.done() or not connection.unacknowledged():
            return None
        await _end(connection)  # who hears of this may ask somebody else
        raise
    if second is None:
        return None
    try:
        if again.repeatable:
            won = await _race(first, second, again)
            if won is None:
                second.abort()
                return None
            await _end(connection)
            return second, won
        if first.done() or not connection.unacknowledged():
            second.abort()  # it has been heard after all, just now
            return None
        await _end(connection)
        again.send(second)
        return second, await again.answer_of(second)
    except BaseException:
        second.abort()
        raise


async def _is_mute(connection: UpstreamConnection, first: asyncio.Task[ResponseHead], still: float) -> bool:
    """Say whether the peer's TCP acknowledges nothing of what is in flight. A slow one is waited for."""
    left = connection.unacknowledged()
    while left:
        await asyncio.wait({first}, timeout=still)
        now = connection.unacknowledged()
        if first.done() or not now:
            return False
        if now == left:
            return True
        left = now
    return False


async def _end(connection: UpstreamConnection) -> None:
    """Reset a connection, so that nothing more arrives of what is in flight."""
    connection.reset()
    while not connection.lost:  # noqa: ASYNC110  the loop does it in its next turn
        await asyncio.sleep(0)


async def _connect(first: asyncio.Task[ResponseHead], pool: Pool) -> UpstreamConnection | None:
    """Return a new connection, None if the first has answered sooner."""
    connecting = asyncio.create_task(pool.connect())
    try:
        await asyncio.wait({first, connecting}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        if not connecting.cancel() and not connecting.cancelled() and connecting.exception() is None:
            connecting.result().abort()
        raise
    if connecting.done():
        return connecting.result()
    connecting.cancel()
    return None


async def _race(first: asyncio.Task[ResponseHead], second: UpstreamConnection, again: Resend) -> ResponseHead | None:
    """Return the second's answer; None if the first was sooner. One that fails loses, unless both do."""
    if first.done():
        return None
    again.send(second)
    other = again.answer_of(second)
    try:
        await asyncio.wait({first, other}, return_when=asyncio.FIRST_COMPLETED)
        if first.done() and first.exception() is None:
            return None
        if first.done():
            return await other
        return other.result() if other.exception() is None else None
    finally:
        _drop(other)


def _drop(task: "asyncio.Task[Any]") -> None:
    """Cancel a task, and keep asyncio from logging that nobody has retrieved its exception."""
    if task.done() and not task.cancelled():
        task.exception()
    task.cancel()
