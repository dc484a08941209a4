"""dashboard/command.py: a verb of `claude-gatewayctl` as a child, read to its end and ended in time."""

import asyncio

import pytest

from claude_gatewayd.dashboard import command
from claude_gatewayd.dashboard.command import Ran, problem, run
from claude_gatewayd.errors import GatewayError
from tests.support.loop import on_uvloop


@on_uvloop
async def test_all_that_it_prints_is_read() -> None:
    """A page of help is longer than one reading of a pipe."""
    ran = await run("--help", seconds=60)
    assert (ran.status, ran.errors) == (0, "")
    assert ran.output.startswith("usage: claude-gatewayctl")


@on_uvloop
async def test_pieces_that_come_one_after_the_other_are_one_text() -> None:
    stream = asyncio.StreamReader()
    for piece in (b'{"findings"', b": [", b"]}"):
        stream.feed_data(piece)
    reading = asyncio.ensure_future(command._all_of(stream))
    await asyncio.sleep(0)
    stream.feed_data(b"\n")
    stream.feed_eof()
    assert await reading == b'{"findings": []}\n'


@on_uvloop
async def test_one_that_takes_too_long_is_ended() -> None:
    with pytest.raises(GatewayError, match=r"claude-gatewayctl logs --follow was not done within 0 s"):
        await run("logs", "--follow", seconds=0)


def test_what_failed_is_its_first_line_and_the_command_below() -> None:
    found = problem(Ran(1, "", "\ncannot read it: no right\n  ls -l it\n"), "it failed")
    assert (found.message, found.hint) == ("cannot read it: no right", "ls -l it")
    assert problem(Ran(3, "", ""), "it failed").message == "it failed (status 3)"
