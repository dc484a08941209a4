"""Reaching an upstream: what makes connections to it, and a handshake by which it shows whether that works."""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from claude_gatewayd.errors import ConfigInvalid
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.network.connect import Connector, Origin
from claude_gatewayd.network.egress import Egress
from claude_gatewayd.system.addresses import is_loopback

if TYPE_CHECKING:
    from claude_gatewayd.problem import Problem

logger = logging.getLogger(__name__)

LASTING: Final = frozenset(("certificate", "proxy"))  # only a person can mend it
_WITHIN: Final = 5.0
_WELL: Final = 900.0  # seconds between two looks
_NOT_WELL: Final = 60.0


def connector(url: str, egress: Egress, seconds: float) -> Connector:
    """Return what makes connections to the origin of a URL, each within *seconds*. Raises ConfigInvalid."""
    origin = Origin.of(url)
    problems: list[Problem] = []
    proxy = context = None
    try:
        proxy = egress.proxy_to(origin.host, origin.port, tls=origin.tls)
    except ConfigInvalid as invalid:
        problems += invalid.problems
    try:
        context = egress.context() if origin.tls or (proxy is not None and proxy.tls) else None
    except ConfigInvalid as invalid:
        problems += invalid.problems
    if problems:
        raise ConfigInvalid(problems)
    return Connector(origin, seconds=seconds, proxy=proxy, context=context)


async def handshake(url: str, egress: Egress, seconds: float) -> UpstreamFailed | None:
    """Connect, and say no more; return why that fails, None where it does not. It costs nobody anything."""
    try:
        connection = await connector(url, egress, seconds)()
    except UpstreamFailed as failed:
        return failed
    except ConfigInvalid as invalid:
        told = "; ".join(f"{problem.where}: {problem.message}" for problem in invalid.problems)
        return UpstreamFailed("certificate", told, hint=invalid.problems[0].hint)
    connection.abort()
    return None


def handshake_blocking(url: str, egress: Egress, seconds: float) -> UpstreamFailed | None:
    """Do the same in a thread without a loop."""
    return asyncio.run(handshake(url, egress, seconds))


class ReachabilityWatch:
    """Know whether an upstream can be reached before anybody needs it: by a handshake now and then.

    What passes by itself, having no network above all, is nothing to tell of.
    """

    def __init__(self, name: str, url: str, egress: Egress, changed: Callable[[], None]) -> None:
        self._name = name
        self._url = url
        self._egress = egress
        self._changed = changed
        self._failed: UpstreamFailed | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look; not where nothing could be found out: at a port of this machine without TLS."""
        origin = Origin.of(self._url)
        if self._task is None and (origin.tls or not is_loopback(origin.host)):
            self._task = asyncio.get_running_loop().create_task(self._look_again_and_again())

    async def look(self) -> UpstreamFailed | None:
        """Look now; return why it cannot be reached."""
        failed = await handshake(self._url, self._egress, _WITHIN)
        lasting = failed if failed is not None and failed.kind in LASTING else None
        if (lasting and lasting.detail) != (self._failed and self._failed.detail):
            if lasting is not None:
                logger.warning("%s cannot be reached: %s", self._name, lasting.detail)
            else:
                logger.info("%s can be reached again", self._name)
            self._failed = lasting
            self._changed()
        return failed

    def snapshot(self) -> dict[str, str]:
        """Return what only a person can mend, and the command that does; "" where there is nothing."""
        failed = self._failed
        return {
            "unreachable": failed.detail if failed is not None else "",
            "unreachable_hint": failed.hint if failed is not None else "",
        }

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look_again_and_again(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(_WELL if self._failed is None else _NOT_WELL)
