"""What lies between a gateway and its database, and can be cut: nobody is told, and nothing passes any more.

with CutNetwork(server.port) as network:
    ...                          # connect to network.port
    network.cut()                # connections stay, and are accepted; what is sent is read by nobody
    network.mend()               # what was sent arrives, late
"""

import asyncio
import contextlib

from tests.fakes.proxy_server import ProxyServer


class CutNetwork(ProxyServer):
    """A way to a port of this machine."""

    def __init__(self, leads_to: int) -> None:
        self._leads_to = leads_to
        self._passes = asyncio.Event()
        self._passes.set()
        super().__init__("cut-network")

    def cut(self) -> None:
        """Let nothing pass."""
        self._loop.call_soon_threadsafe(self._passes.clear)

    def mend(self) -> None:
        """Let all pass, also what has waited."""
        self._loop.call_soon_threadsafe(self._passes.set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Let one connection pass."""
        await self._passes.wait()
        there, out = await asyncio.open_connection("127.0.0.1", self._leads_to)
        ways = [asyncio.ensure_future(self._pass_on(*way)) for way in ((reader, out), (there, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in ways:
                one.cancel()
            out.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._passes.wait()
                writer.write(data)
                await writer.drain()
