"""What the kernel knows of a connection."""

import asyncio
import socket
import ssl
import sys
from pathlib import Path

import pytest
import trustme

from claude_gatewayd.http1 import tcp
from claude_gatewayd.http1.upstream.connection import UpstreamConnection
from tests.support.loop import on_uvloop, until


def read_all(conn: socket.socket) -> None:
    while conn.recv(1 << 20):
        pass


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="only Linux and macOS say it")
@on_uvloop
async def test_what_has_been_acknowledged() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, *listener.getsockname())
    conn, _ = listener.accept()
    assert tcp.unacknowledged(transport) == 0
    transport.write(b"x" * 1000)
    await until(lambda: tcp.unacknowledged(transport) == 0)  # by the kernel: nobody has read it
    size = 32 * 1024 * 1024
    transport.write(b"x" * size)
    assert (tcp.unacknowledged(transport) or 0) > size // 4
    tcp.discard_unsent(transport)
    transport.abort()
    await asyncio.sleep(0.01)
    conn.setblocking(True)
    with pytest.raises(ConnectionResetError):
        read_all(conn)
    conn.close()
    listener.close()


@on_uvloop
async def test_a_socket_of_this_machine_says_nothing(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(asyncio.Protocol, str(tmp_path / "s"))
    transport, _ = await loop.create_unix_connection(asyncio.Protocol, str(tmp_path / "s"))
    assert tcp.unacknowledged(transport) is None
    assert tcp.unacknowledged(None) is None
    tcp.discard_unsent(None)
    transport.abort()
    server.close()
    await asyncio.sleep(0)


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="only Linux and macOS say it")
@on_uvloop
async def test_what_has_been_acknowledged_is_known_behind_tls() -> None:
    authority = trustme.CA()
    serves, asks = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(serves)
    authority.configure_trust(asks)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Deaf, "127.0.0.1", 0, ssl=serves)
    port = server.sockets[0].getsockname()[1]
    transport, connection = await loop.create_connection(
        UpstreamConnection, "127.0.0.1", port, ssl=asks, server_hostname="localhost"
    )
    await until(lambda: tcp.unacknowledged(transport) == 0)
    transport.write(b"x" * 32 * 1024 * 1024)
    await until(lambda: (tcp.unacknowledged(transport) or 0) > 1024 * 1024)
    assert connection.unacknowledged() == tcp.unacknowledged(transport)
    connection.reset()
    for _ in range(20):
        await asyncio.sleep(0)
    assert connection.lost
    server.close()
    await server.wait_closed()
    await asyncio.sleep(0.05)


class Deaf(asyncio.Protocol):
    """Reads nothing."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "pause_reading")
        transport.pause_reading()
