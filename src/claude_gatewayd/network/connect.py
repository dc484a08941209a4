"""Connecting to an upstream: all addresses of its name, through a proxy if there is one, TLS with verification."""

import asyncio
import socket
import ssl
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import aiohappyeyeballs

from claude_gatewayd.http1 import head
from claude_gatewayd.http1.head import Malformed
from claude_gatewayd.http1.upstream.connection import UpstreamConnection, UpstreamFailed
from claude_gatewayd.network import socks, trust
from claude_gatewayd.network.proxy import Proxy
from claude_gatewayd.network.sockets import refused_by_privacy, watch_for_a_dead_peer

_NEXT_ADDRESS_AFTER = 0.25  # RFC 8305 8
_SET_PROXY = "claude-gatewayctl config set network.proxy http://USER:PASSWORD@PROXY:3128 --reload"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an upstream is. *authority* is what Host says, *prefix* stands before each path."""

    host: str
    port: int
    tls: bool
    authority: bytes
    prefix: bytes = b""

    @classmethod
    def of(cls, url: str) -> "Origin":
        """Return the origin of a base URL."""
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        host, port = parts.hostname or "", parts.port or (443 if tls else 80)
        name = f"[{host}]" if ":" in host else host
        authority = name if port == (443 if tls else 80) else f"{name}:{port}"
        return cls(host, port, tls, authority.encode(), parts.path.rstrip("/").encode())


class Connector:
    """Make connections to *origin*, each within *seconds* in all.

    *context* checks certificates, the upstream's and the proxy's; None where neither speaks TLS.
    """

    def __init__(self, origin: Origin, *, seconds: float, proxy: Proxy | None, context: ssl.SSLContext | None) -> None:
        self._origin = origin
        self._seconds = seconds
        self._proxy = proxy
        self._context = context

    async def __call__(self) -> UpstreamConnection:
        """Return a new connection. Raises UpstreamFailed."""
        where = self._origin.host
        if self._proxy is not None:
            where += f" through the proxy {self._proxy.host}"
        try:
            async with asyncio.timeout(self._seconds):
                return await self._connected(self._context)
        except TimeoutError:
            raise UpstreamFailed("timeout", f"{where} could not be reached within {self._seconds:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise _not_trusted(where, error, await self._look_at_peer()) from None
        except ssl.SSLError as error:
            raise UpstreamFailed("tls", f"no TLS with {where}: {error.reason or error}") from None
        except OSError as error:
            raise UpstreamFailed("connect", f"{where} could not be reached: {_reason(error)}") from None
        except ValueError:  # from IDNA: two dots in a row, or more than 63 characters between two
            raise UpstreamFailed("connect", f"{where} could not be reached: that is not the name of a host") from None

    async def _look_at_peer(self) -> trust.Peer | None:
        """Return whose certificate was refused, by a second handshake in which nothing else is sent."""
        try:
            async with asyncio.timeout(self._seconds):
                connection = await self._connected(trust.unverified_context())
        except (OSError, UpstreamFailed):  # TimeoutError is one
            return None
        try:
            return trust.peer_of(connection.tls)
        finally:
            connection.abort()

    async def _connected(self, context: ssl.SSLContext | None) -> UpstreamConnection:
        origin, proxy = self._origin, self._proxy
        if proxy is None:
            return await self._on(await _open(origin.host, origin.port), context)
        if not proxy.socks:
            return await self._tunnel(proxy, context)
        try:
            sock = await socks.connect(proxy, origin.host, origin.port, self._seconds)
        except socks.SocksRefused as refused:
            raise UpstreamFailed("proxy", f"the proxy refused: {refused}", hint=_SET_PROXY) from None
        watch_for_a_dead_peer(sock)
        return await self._on(sock, context)

    async def _on(self, sock: socket.socket, context: ssl.SSLContext | None) -> UpstreamConnection:
        """Return a connection on a socket that leads to the origin."""
        loop = asyncio.get_running_loop()
        _transport, connection = await loop.create_connection(
            UpstreamConnection,
            sock=sock,
            ssl=context if self._origin.tls else None,
            server_hostname=self._origin.host if self._origin.tls else None,
        )
        return connection

    async def _tunnel(self, proxy: Proxy, context: ssl.SSLContext | None) -> UpstreamConnection:
        """Connect through a proxy, which gets its password only where its own certificate is trusted."""
        loop = asyncio.get_running_loop()
        sock = await _open(proxy.host, proxy.port)
        try:
            transport, tunnel = await loop.create_connection(
                _Tunnel,
                sock=sock,
                ssl=self._context if proxy.tls else None,
                server_hostname=proxy.host if proxy.tls else None,
            )
        except ssl.SSLCertVerificationError as error:
            raise _not_trusted(f"the proxy {proxy.host}", error, None) from None
        try:
            transport.write(_connect_request(self._origin, proxy))
            await tunnel.opened
            connection = UpstreamConnection()
            upgraded: asyncio.Transport = transport
            if self._origin.tls:
                assert context is not None
                upgraded = cast(
                    "asyncio.Transport",
                    await loop.start_tls(transport, connection, context, server_hostname=self._origin.host),
                )
            else:
                transport.set_protocol(connection)
            connection.connection_made(upgraded)
        except BaseException:
            transport.abort()
            raise
        return connection


class _Tunnel(asyncio.Protocol):
    """Wait for a proxy's answer to CONNECT."""

    def __init__(self) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            end = head.find_end(self._buffer)
            if not end:
                return
            answer = head.parse_response(self._buffer[:end])
        except Malformed as problem:
            self._fail(f"the proxy's answer is not HTTP/1.1: {problem.why}")
            return
        if answer.status // 100 == 2:
            if not self.opened.done():
                self.opened.set_result(None)
        else:
            reason = answer.reason.decode("latin-1")
            self._fail(f"the proxy refused: {answer.status} {reason}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("the proxy closed the connection")

    def _fail(self, detail: str) -> None:
        if not self.opened.done():
            self.opened.set_exception(UpstreamFailed("proxy", detail, hint=_SET_PROXY))


async def _open(host: str, port: int) -> socket.socket:
    """Return a connected socket. All addresses are tried, the next a quarter of a second after the one before."""
    loop = asyncio.get_running_loop()
    try:
        infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise UpstreamFailed(
            "offline",
            f"the name {host} cannot be resolved ({error.strerror}): this machine seems to be offline",
        ) from None
    try:
        sock = await aiohappyeyeballs.start_connection(
            infos, happy_eyeballs_delay=_NEXT_ADDRESS_AFTER, interleave=1, loop=loop
        )
    except OSError as error:
        why, command = refused_by_privacy(error, (str(info[4][0]) for info in infos))
        if not why:
            raise
        raise UpstreamFailed("connect", f"{host} could not be reached: {_reason(error)}; {why}", hint=command) from None
    watch_for_a_dead_peer(sock)
    return sock


def _connect_request(origin: Origin, proxy: Proxy) -> bytes:
    name = f"[{origin.host}]" if ":" in origin.host else origin.host
    authority = f"{name}:{origin.port}".encode()
    lines = [b"Host: " + authority]
    if proxy.authorization:
        lines.append(b"Proxy-Authorization: " + proxy.authorization.encode())
    return head.write_request(b"CONNECT", authority, lines)


def _not_trusted(where: str, error: ssl.SSLCertVerificationError, peer: trust.Peer | None) -> UpstreamFailed:
    whose = f" ({peer})" if peer is not None else ""
    helps, command = trust.advice(error.verify_code)
    why = f"the certificate of {where} is not trusted: {error.verify_message}{whose}; {helps}"
    return UpstreamFailed("certificate", why, hint=command)


def _reason(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return error.strerror or str(error) or "the connection was lost"  # uvloop's own errors have no text
