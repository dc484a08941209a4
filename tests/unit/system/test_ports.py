import os
import socket
import sys
from pathlib import Path

import pytest

from claude_gatewayd.system import ports
from tests.support.other_user import OtherUser, as_nobody, needs_root


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["/x/python3.13", "-P", "/x/bin/claude-gatewayd", "run"], True),
        (["/x/Python", "-P", "-m", "claude_gatewayd.worker", "--listen-fd", "5"], True),
        # ps(1) on macOS, with a blank in the path
        (["/Users/a/Library/Application", "Support/x/bin/python", "-P", "-m", "claude_gatewayd.worker", "--x"], True),
        (["/x/python", "-m", "claude_gatewayd"], True),
        (["/bin/sh", "/x/claude-gatewayd", "run"], True),
        (["/x/python", "/x/bin/claude-gatewayctl", "status"], False),
        (["tail", "-f", "/x/claude-gatewayd.log"], False),
        (["/x/python", "-m", "http.server", "47000"], False),
        ([], False),
    ],
)
def test_what_is_ours(command: list[str], expected: bool) -> None:
    assert ports.is_ours(command) is expected


def test_the_command_line_of_a_process() -> None:
    assert ports.command_of(os.getpid())[0].endswith(Path(sys.executable).name)
    assert ports.command_of(2**22 + 1) == []


def test_who_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        holder = ports.who_listens(listener.getsockname()[1])
    assert holder is not None
    assert holder.pid == os.getpid()
    assert not ports.is_ours(ports.command_of(holder.pid))


def test_a_free_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        free = ports.free_port(port - 1)
        assert free > port
        with socket.create_server(("127.0.0.1", free)):
            pass
    assert ports.free_port(65535) == 65535


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says whose a socket is")
@needs_root
def test_a_program_of_another_user() -> None:
    """As nobody sees root's."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]

        def theirs() -> str:
            sock.close()  # what a fork shares with its parent
            return str(ports.who_listens(port))

        assert as_nobody(theirs) == "a program of the user root"
    with OtherUser(port) as other:  # root sees the process
        assert "(pid " in str(ports.who_listens(other.port))
