"""Answer 503 while no generation can serve, with the problem and how to fix it.

To exit instead would be worse: a service manager would restart us over and over for the connections that wait.
"""

import asyncio
import logging
import os
import re
import socket

from claude_gatewayd import paths
from claude_gatewayd.anthropic.errors import error_body
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import proof
from claude_gatewayd.problem import Problem
from claude_gatewayd.system.addresses import host_of, is_loopback
from claude_gatewayd.system.secret_file import read_or_make_gateway_key

logger = logging.getLogger(__name__)

_AT_ONCE = 64
_READ_WITHIN = 5.0
_PAUSED_FOR = 0.1
_MOST = 1024 * 1024
_HOST = re.compile(rb"\r\nhost:([^\r\n]*)(?=\r\n)", re.IGNORECASE)
_PAGE = re.compile(rb"\r\norigin:", re.IGNORECASE)


class Unavailable:
    """Accept on *listener* and answer 503 while there are problems."""

    def __init__(self, listener: socket.socket) -> None:
        self.problems: list[Problem] = []
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def answer_with(self, problems: list[Problem]) -> None:
        """Answer with *problems* from now on; with an empty list, leave the socket to the workers."""
        was, self.problems = bool(self.problems), problems
        if problems and not was:
            self._listener.setblocking(False)
            self._resume()
        elif was and not problems:
            self._pause()

    def _resume(self) -> None:
        if self.problems and len(self._tasks) < _AT_ONCE:
            self._loop.add_reader(self._listener.fileno(), self._ready)

    def _pause(self) -> None:
        self._loop.remove_reader(self._listener.fileno())

    def _ready(self) -> None:
        try:
            sock, _address = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            logger.debug("cannot accept: %s", error)
            self._pause()  # the socket stays readable: without a pause this would spin
            self._loop.call_later(_PAUSED_FOR, self._resume)
            return
        task = self._loop.create_task(self._answer(sock))
        self._tasks.add(task)
        task.add_done_callback(self._answered)
        if len(self._tasks) >= _AT_ONCE:
            self._pause()

    def _answered(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._resume()

    async def _answer(self, sock: socket.socket) -> None:
        try:
            async with asyncio.timeout(_READ_WITHIN):
                reader, writer = await asyncio.open_connection(sock=sock, limit=_MOST)
                try:
                    request = await reader.readuntil(b"\r\n\r\n")
                    writer.write(_answer(self.problems, request, sock.getsockname()))
                    writer.write_eof()
                    while await reader.read(
                        65536
                    ):  # discard the body: closing with unread data would reset the connection
                        pass
                finally:
                    writer.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            logger.debug("a caller did not wait for the answer: %s", error)


def _proven(challenge: bytes, listens_at: object) -> bytes:
    """Return the proof that this is our gateway, which it is also while it cannot serve; b"" without a key."""
    try:
        key = read_or_make_gateway_key(paths.gateway_key_file(os.environ))
    except GatewayError as error:
        logger.debug("%s", error.message)
        return b""
    return proof.answer(key, challenge, listens_at)


def _answer(problems: list[Problem], request: bytes, listens_at: object = None) -> bytes:
    challenge = proof.challenge_in(request)
    if challenge is not None and (proven := _proven(challenge, listens_at)):
        return b"HTTP/1.1 200 OK\r\n%b: %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % (proof.PROOF, proven)
    message = "claude-gatewayd cannot serve: claude-gatewayctl status says why"
    hosts = _HOST.findall(request)
    is_ours = len(hosts) == 1 and is_loopback(host_of(hosts[0]))
    if is_ours and not _PAGE.search(request):  # web pages and other machines learn no details
        described = "; ".join(f"{p.where}: {p.message}" + (f" ({p.hint})" if p.hint else "") for p in problems)
        message = f"claude-gatewayd cannot serve: {described}. Mend it, then run: claude-gatewayctl reload"
    body = error_body(503, message)
    return (
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
        b"connection: close\r\n\r\n" % len(body)
    ) + (b"" if request.startswith(b"HEAD ") else body)
