"""Lines to a worker that is slow: none is sent in part, and what waits has an end."""

import asyncio
import socket

from claude_gatewayd.ipc.outbox import Outbox
from claude_gatewayd.ipc.wire import LineBuffer

LINE = b"x" * 99_999 + b"\n"


def pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    return ours, theirs


async def read(theirs: socket.socket, count: int) -> list[bytes]:
    """Read until there are *count* lines."""
    lines, buffer = list[bytes](), LineBuffer()
    async with asyncio.timeout(30):
        while len(lines) < count:
            lines += buffer.feed(await asyncio.get_running_loop().sock_recv(theirs, 65536))
    assert not buffer.rest
    return lines


def test_lines_wait_whole_until_there_is_room() -> None:
    async def scenario() -> None:
        ours, theirs = pair()
        with ours, theirs:
            outbox = Outbox(ours.fileno())
            sent = sum(outbox.send(LINE, gives_way=True) for _ in range(100))
            assert 5 <= sent < 100
            assert outbox.send(b"order\n"), "an order finds room where a fact does not"
            assert await read(theirs, sent + 1) == [LINE[:-1]] * sent + [b"order"]
            assert outbox.send(b"next\n")
            assert await read(theirs, 1) == [b"next"]
            outbox.close()

    asyncio.run(scenario())


def test_what_waits_is_sent_before_another_process_goes_on() -> None:
    async def scenario() -> None:
        ours, theirs = pair()
        with ours, theirs:
            outbox = Outbox(ours.fileno())
            sent = sum(outbox.send(LINE) for _ in range(4))
            reading = asyncio.create_task(asyncio.to_thread(read_all, theirs, 4 * len(LINE)))
            await asyncio.to_thread(lambda: None)
            outbox.finish()
            assert (sent, await reading) == (4, 4 * len(LINE))

    asyncio.run(scenario())


def read_all(theirs: socket.socket, size: int) -> int:
    theirs.setblocking(True)
    theirs.settimeout(30)
    found = 0
    while found < size:
        found += len(theirs.recv(65536))
    return found


def test_a_worker_that_has_ended_is_no_error() -> None:
    async def scenario() -> None:
        ours, theirs = pair()
        theirs.close()
        with ours:
            outbox = Outbox(ours.fileno())
            assert outbox.send(LINE)
            outbox.finish()
            outbox.close()

    asyncio.run(scenario())
