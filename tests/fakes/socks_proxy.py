"""A SOCKS5 proxy (RFC 1928, 1929) that leads names which only it knows to ports of this machine.

    with SocksProxy({"bedrock.test:443": fake.port}, user="me:secret") as proxy:
        ...                          # ALL_PROXY=proxy.url
        assert proxy.asked == ["bedrock.test:443"]

What is not in the map is refused, "connection not allowed".
"""

import asyncio
import socket
import struct
from collections.abc import Mapping

from tests.fakes.proxy_server import ProxyServer


class SocksProxy(ProxyServer):
    """The proxy, in a thread of its own. *asked* are the targets, in order, refused ones too."""

    def __init__(self, leads_to: Mapping[str, int], *, user: str = "") -> None:
        self.asked: list[str] = []
        self._leads_to = dict(leads_to)
        self._user = user
        super().__init__("socks-proxy")

    @property
    def url(self) -> str:
        """Its URL, with what it wants."""
        return f"socks5://{self._user}@127.0.0.1:{self.port}" if self._user else f"socks5://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to one client."""
        _version, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        wanted = 2 if self._user else 0
        if wanted not in methods:
            writer.write(b"\x05\xff")
            await writer.drain()
            return
        writer.write(bytes((5, wanted)))
        if self._user and not await self._knows(reader, writer):
            return
        _version, _command, _reserved, kind = await reader.readexactly(4)
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            family, length = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
            host = socket.inet_ntop(family, await reader.readexactly(length))
        target = f"{host}:{struct.unpack('!H', await reader.readexactly(2))[0]}"
        self.asked.append(target)
        at = self._leads_to.get(target)
        writer.write(bytes((5, 0 if at else 2, 0, 1)) + bytes(6))
        await writer.drain()
        if at:
            await self.pipe(reader, writer, at)

    async def _knows(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        said = []
        await reader.readexactly(1)
        for _ in range(2):
            said.append((await reader.readexactly((await reader.readexactly(1))[0])).decode())
        known = ":".join(said) == self._user
        writer.write(bytes((1, 0 if known else 1)))
        await writer.drain()
        return known
