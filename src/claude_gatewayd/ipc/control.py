"""The control socket: one JSON line in, one out, and the connection is closed. No command returns a
secret, but `dashboard-link`: what it returns is good once, within a minute.
"""

import logging
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from claude_gatewayd import printable
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import wire

if TYPE_CHECKING:
    import asyncio

logger = logging.getLogger(__name__)

_READ_WITHIN = 5.0

Command = Callable[[], Awaitable[wire.Message]]


def listen(path: Path) -> socket.socket:
    """Listen on *path*, for this user alone. Raises GatewayError.

    The caller holds the lock, so a socket that is there is left over.
    """
    sock = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        path.unlink(missing_ok=True)
        sock.bind(str(path))
        sock.listen()
    except OSError as error:
        sock.close()
        raise GatewayError(
            f"cannot listen on {path}: {error.strerror}", f"ls -ld {quote(str(path.parent))} {quote(str(path))}"
        ) from None
    finally:
        os.umask(before)
    return sock


async def serve(
    sock: socket.socket, commands: dict[str, Command], under_way: set["asyncio.Task[None] | None"]
) -> "asyncio.AbstractServer":
    """Carry out commands that arrive on *sock*. *under_way* holds the tasks of open connections."""
    import asyncio  # here, for it takes long, and the first worker is started before

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        under_way.add(asyncio.current_task())
        try:
            async with asyncio.timeout(_READ_WITHIN):
                line = await reader.readline()
            writer.write(wire.encode(printable.in_all(await _run(line, commands))))
            await writer.drain()
        except (OSError, TimeoutError, ValueError) as error:
            logger.debug("a control connection ended early: %s", error)
        finally:
            writer.close()
            under_way.discard(asyncio.current_task())

    return await asyncio.start_unix_server(handle, sock=sock, limit=wire.MAX_LINE)


async def _run(line: bytes, commands: dict[str, Command]) -> wire.Message:
    try:
        name = wire.decode(line).get("command")
    except wire.NotAMessage as problem:
        return wire.error("bad-request", f"cannot read the command: {problem}")
    command = commands.get(str(name))
    if command is None:
        known = ", ".join(sorted(commands))
        return wire.error("unknown-command", f"there is no command {name!r}: the commands are {known}")
    try:
        return {"result": await command()}
    except Exception:
        logger.exception("the command %s failed: this is a fault of the daemon", name)
        return wire.error("internal", f"cannot carry out {name}: a fault of the daemon, which its log shows")
