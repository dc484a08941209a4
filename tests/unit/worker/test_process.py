"""The command line of a worker, which supervisors of other versions write, too."""

import socket

import pytest

from claude_gatewayd.supervisor.workers.launch import LaunchSpec
from claude_gatewayd.worker import process
from claude_gatewayd.worker.inputs import StartMode


@pytest.mark.parametrize("succeeds", [False, True])
@pytest.mark.parametrize("with_engine", [False, True])
@pytest.mark.parametrize("probe", [False, True])
def test_it_reads_what_the_supervisor_writes(succeeds: bool, with_engine: bool, probe: bool) -> None:
    with socket.socket() as listener:
        spec = LaunchSpec("/bin/python", listener, "127.0.0.1:1", succeeds, with_engine, probe)
        words = spec.command(7, 5)[4:]
        mode = StartMode(7, succeeds, with_engine, probe)
        assert process._parse(words) == (listener.fileno(), 5, "127.0.0.1:1", mode)


@pytest.mark.parametrize(
    "words",
    [[], ["--listen-fd", "3"], ["--listen-fd", "x", "--channel-fd", "4", "--generation", "1"], ["--listen-fd"], ["-h"]],
)
def test_nobody_else_starts_one(words: list[str]) -> None:
    with pytest.raises(SystemExit, match=r"claude_gatewayd\.worker: "):
        process._parse(words)
