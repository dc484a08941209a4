"""What stands before a team's gateway and speaks TLS for it: each connection is passed on to a port of this machine.

with Balancer(daemon.port, inspection) as balancer:
    ...                          # balancer.url is https://localhost:PORT
"""

import asyncio

from tests.fakes.inspection import Inspection
from tests.fakes.proxy_server import ProxyServer


class Balancer(ProxyServer):
    """The balancer, in a thread of its own, with a certificate that *inspection*'s CA has signed."""

    def __init__(self, leads_to: int, inspection: Inspection) -> None:
        self._leads_to = leads_to
        super().__init__("balancer", inspection.server)

    @property
    def url(self) -> str:
        """Its URL."""
        return f"https://localhost:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to one client."""
        await self.pipe(reader, writer, self._leads_to)
