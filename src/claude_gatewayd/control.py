"""The control socket: one JSON line in, one out, the connection closed. No secret can be asked for."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from claude_gatewayd import wire

logger = logging.getLogger(__name__)

_READ_WITHIN = 5.0

Command = Callable[[], Awaitable[wire.Message]]


async def serve(path: Path, commands: dict[str, Command]) -> asyncio.AbstractServer:
    """Listen on *path*, for this user alone. Whoever calls holds the lock, so an old socket there is nobody's."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_READ_WITHIN):
                line = await reader.readline()
            writer.write(wire.encode(await _obey(line, commands)))
            await writer.drain()
        except (OSError, TimeoutError, ValueError) as error:
            logger.debug("a control connection ended early: %s", error)
        finally:
            writer.close()

    path.unlink(missing_ok=True)  # noqa: ASYNC240  before anything else runs on this loop
    before = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(converse, path=path, limit=wire.MAX_LINE)
    finally:
        os.umask(before)


async def _obey(line: bytes, commands: dict[str, Command]) -> wire.Message:
    try:
        name = wire.decode(line).get("command")
    except wire.NotAMessage as problem:
        return wire.error("bad-request", f"cannot read the command: {problem}")
    command = commands.get(str(name))
    if command is None:
        known = ", ".join(sorted(commands))
        return wire.error("unknown-command", f"cannot obey {name!r}: the commands are {known}")
    try:
        return {"result": await command()}
    except Exception:
        logger.exception("the command %s failed: this is a fault of the daemon", name)
        return wire.error("internal", f"cannot carry out {name}: a fault of the daemon, which its log shows")
