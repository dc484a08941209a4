"""Reaching an upstream: what makes connections to it, and a handshake by which it shows whether that works."""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from claude_gatewayd.errors import ConfigInvalid
from claude_gatewayd.http1.upstream.connection import UpstreamConnection, UpstreamFailed
from claude_gatewayd.network.connect import Connector, Origin
from claude_gatewayd.network.egress import Egress
from claude_gatewayd.system.addresses import is_loopback

if TYPE_CHECKING:
    from claude_gatewayd.problem import Problem

logger = logging.getLogger(__name__)

LASTING: Final = frozenset(("certificate", "proxy"))  # only a person can fix it
_TIMEOUT: Final = 5.0
_INTERVAL: Final = 900.0  # seconds between two checks
_INTERVAL_UNREACHABLE: Final = 60.0


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


class LateConnector:
    """Make connections to the origin of a URL, each within *seconds*.

    What is wrong with the configuration of *egress* fails a connection, and nothing before.
    """

    def __init__(self, url: str, egress: Egress, seconds: float) -> None:
        self._url = url
        self._egress = egress
        self._seconds = seconds
        self._connector: Connector | None = None

    async def __call__(self) -> UpstreamConnection:
        """Return a new connection. Raises UpstreamFailed."""
        if self._connector is None:
            try:  # in a thread: reading the certificates of a machine takes 20 ms
                self._connector = await asyncio.to_thread(connector, self._url, self._egress, self._seconds)
            except ConfigInvalid as invalid:
                raise _misconfigured(invalid) from None
        return await self._connector()


async def handshake(url: str, egress: Egress, seconds: float) -> UpstreamFailed | None:
    """Connect, and send nothing. Return why that fails, None if it does not."""
    try:
        connection = await connector(url, egress, seconds)()
    except UpstreamFailed as failed:
        return failed
    except ConfigInvalid as invalid:
        return _misconfigured(invalid)
    connection.abort()
    return None


def _misconfigured(invalid: ConfigInvalid) -> UpstreamFailed:
    detail = "; ".join(f"{problem.where}: {problem.message}" for problem in invalid.problems)
    return UpstreamFailed("certificate", detail, hint=invalid.problems[0].hint)


def handshake_blocking(url: str, egress: Egress, seconds: float) -> UpstreamFailed | None:
    """Do the same in a thread without a loop."""
    return asyncio.run(handshake(url, egress, seconds))


class ReachabilityWatch:
    """Check by a handshake now and then whether an upstream can be reached, before anybody needs it.

    Failures that pass by themselves, being offline above all, are not reported.
    """

    def __init__(self, name: str, url: str, egress: Egress, changed: Callable[[], None]) -> None:
        self._name = name
        self._url = url
        self._egress = egress
        self._changed = changed
        self._failed: UpstreamFailed | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start checking; not for a port of this machine without TLS, of which nothing could be learned."""
        origin = Origin.of(self._url)
        if self._task is None and (origin.tls or not is_loopback(origin.host)):
            self._task = asyncio.get_running_loop().create_task(self._look_again_and_again())

    async def look(self) -> UpstreamFailed | None:
        """Check now. Return why it cannot be reached, None if it can."""
        failed = await handshake(self._url, self._egress, _TIMEOUT)
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
        """Return the failure that only a person can fix, and the command that does; "" where there is none."""
        failed = self._failed
        return {
            "unreachable": failed.detail if failed is not None else "",
            "unreachable_hint": failed.hint if failed is not None else "",
        }

    async def close(self) -> None:
        """Stop checking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look_again_and_again(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(_INTERVAL if self._failed is None else _INTERVAL_UNREACHABLE)
