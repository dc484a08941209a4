"""A proxy that is asked by CONNECT and, whatever it is asked for, leads to ports of this machine.

    with ConnectProxy({"bedrock.test:443": fake.port}) as proxy:
        ...                          # HTTPS_PROXY=proxy.url
        assert proxy.asked == ["bedrock.test:443"]

What is not in the map is led to where it says, if that is loopback; all else gets 403. With *user* it wants
"name:password", and answers 407 without.
"""

import asyncio
import base64
from collections.abc import Mapping

from tests.fakes.proxy_server import ProxyServer


class ConnectProxy(ProxyServer):
    """The proxy, in a thread of its own. *asked* are the targets, in order, refused ones too."""

    def __init__(self, leads_to: Mapping[str, int] | None = None, *, user: str = "") -> None:
        self.asked: list[str] = []
        self._leads_to = dict(leads_to or {})
        self._authorization = "Basic " + base64.b64encode(user.encode()).decode() if user else ""
        self._user = f"{user}@" if user else ""
        super().__init__("connect-proxy")

    @property
    def url(self) -> str:
        """Its URL, with what it wants."""
        return f"http://{self._user}127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to one client."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, target, _ = head.split(" ", 2)
        self.asked.append(target)
        if self._authorization and f"proxy-authorization: {self._authorization}".lower() not in head.lower():
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        host, _, port = target.rpartition(":")
        at = self._leads_to.get(target, int(port) if host in ("127.0.0.1", "localhost") and port.isdigit() else 0)
        if method != "CONNECT" or not at:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        await self.pipe(reader, writer, at, b"HTTP/1.1 200 Connection established\r\n\r\n")
