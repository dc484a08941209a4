"""The proxy for LiteLLM alone, that leads through a SOCKS proxy."""

import asyncio
import base64
from urllib.parse import urlsplit

import pytest

from claude_gatewayd.network.proxy import parse
from claude_gatewayd.worker.engine.network.bridge import SocksBridge
from tests.fakes.socks_proxy import SocksProxy

TARGET = "bedrock.test:443"


async def ask(bridge: SocksBridge, *, method: str = "CONNECT", password: str = "") -> tuple[str, bytes]:
    """Ask for TARGET and say hello; return the status line, and what came back."""
    url = urlsplit(bridge.url)
    user = base64.b64encode(f"{url.username}:{password or url.password}".encode()).decode()
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(f"{method} {TARGET} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic {user}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    echo = b""
    if b" 200 " in head:
        writer.write(b"hello")
        echo = await reader.read()
    writer.transport.abort()
    return head.split(b"\r\n")[0].decode(), echo


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.readexactly(5))
    writer.close()


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({}, "200 Connection established"),
        ({"password": "guessed"}, "403 Forbidden"),
        ({"method": "GET"}, "403 Forbidden"),
    ],
)
def test_who_is_let_through(given: dict[str, str], status: str) -> None:
    async def run() -> None:
        there = await asyncio.start_server(echo, "127.0.0.1", 0)
        with SocksProxy({TARGET: there.sockets[0].getsockname()[1]}) as proxy:
            bridge = SocksBridge(parse(proxy.url))
            serving = asyncio.create_task(bridge.serve())
            reply = await ask(bridge, **given)
            assert reply == (f"HTTP/1.1 {status}", b"hello" if status.startswith("200") else b"")
            assert proxy.asked == ([TARGET] if status.startswith("200") else [])
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            with pytest.raises(OSError, match="Connect call failed"):
                await ask(bridge)
        there.close()

    asyncio.run(run())


def test_a_proxy_that_refuses() -> None:
    async def run() -> None:
        with SocksProxy({}) as proxy:
            bridge = SocksBridge(parse(proxy.url))
            serving = asyncio.create_task(bridge.serve())
            assert await ask(bridge) == ("HTTP/1.1 502 Bad Gateway", b"")
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    asyncio.run(run())
