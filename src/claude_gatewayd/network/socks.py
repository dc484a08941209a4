"""Connections through a SOCKS proxy, which most tools for getting round a network offer.

python-socks is loaded where it is needed: few need it.
"""

import socket
from typing import TYPE_CHECKING

from claude_gatewayd.network.proxy import Proxy

if TYPE_CHECKING:
    from python_socks import ProxyType


class SocksRefused(Exception):
    """The proxy does not let us through."""


async def connect(proxy: Proxy, host: str, port: int, seconds: float) -> socket.socket:
    """Return a socket that leads to *host*. Raises SocksRefused, OSError, TimeoutError."""
    from python_socks import ProxyError
    from python_socks.async_.asyncio import Proxy as Socks

    name, _, password = proxy.user.partition(":")
    try:
        through = Socks(_kind(proxy), proxy.host, proxy.port, name or None, password or None, proxy.resolves)
        return await through.connect(host, port, seconds)
    except ProxyError as error:
        raise SocksRefused(str(error)) from None


def connect_blocking(proxy: Proxy, host: str, port: int, seconds: float) -> socket.socket:
    """Do the same in a thread without a loop."""
    from python_socks import ProxyError
    from python_socks.sync import Proxy as Socks

    name, _, password = proxy.user.partition(":")
    try:
        through = Socks(_kind(proxy), proxy.host, proxy.port, name or None, password or None, proxy.resolves)
        return through.connect(host, port, seconds)
    except ProxyError as error:
        raise SocksRefused(str(error)) from None


def _kind(proxy: Proxy) -> "ProxyType":
    from python_socks import ProxyType

    return ProxyType.SOCKS4 if proxy.socks == 4 else ProxyType.SOCKS5
