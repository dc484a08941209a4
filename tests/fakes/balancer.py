"""What stands before a team's gateway and speaks TLS for it: each connection is passed on to a port of this machine.

with Balancer(daemon.port, inspection) as balancer:
    ...                          # balancer.url is https://localhost:PORT
"""

import asyncio
from types import TracebackType
from typing import Self

from tests.fakes.inspection import Inspection
from tests.fakes.proxy_server import ProxyServer


class Balancer:
    """The balancer, in a thread of its own, with a certificate that *inspection*'s CA has signed."""

    def __init__(self, leads_to: int, inspection: Inspection) -> None:
        self._leads_to = leads_to
        self._server = ProxyServer("balancer", self._serve, inspection.server)
        self.port = self._server.port

    @property
    def url(self) -> str:
        """Its URL."""
        return f"https://localhost:{self.port}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._server.pipe(reader, writer, self._leads_to)
