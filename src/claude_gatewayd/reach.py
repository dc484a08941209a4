"""Reaching an upstream: what makes connections to it, and a handshake by which it shows whether that works."""

import asyncio
from typing import TYPE_CHECKING

from claude_gatewayd.egress import Egress
from claude_gatewayd.errors import ConfigInvalid
from claude_gatewayd.http1.connect import Connector, Origin
from claude_gatewayd.http1.upstream import UpstreamFailed

if TYPE_CHECKING:
    from claude_gatewayd.model import Problem


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
