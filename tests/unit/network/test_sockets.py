import errno
import socket
from collections.abc import Sequence

import pytest

from claude_gatewayd.network import sockets
from claude_gatewayd.network.sockets import Option

NO_ROUTE = OSError(errno.EHOSTUNREACH, "No route to host")
TCP = socket.IPPROTO_TCP


def test_what_each_system_has() -> None:
    linux, mac = sockets.dead_peer_options("linux"), sockets.dead_peer_options("darwin")
    assert Option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1) in linux
    assert Option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1) in mac
    assert Option(TCP, 0x80, 60) in mac, "TCP_RXT_CONNDROPTIME"
    assert Option(TCP, 0x80, 60) not in linux
    assert len({option[:2] for option in mac}) == len(mac)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="needs Linux")
def test_the_kernel_takes_them() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as sock:
        sockets.watch_for_a_dead_peer(sock)
        assert sock.getsockopt(TCP, socket.TCP_USER_TIMEOUT) == 60_000


def test_one_that_the_kernel_refuses_costs_nothing() -> None:
    """As macOS does where the peer has closed already."""
    sock = socket.socket()
    sock.close()
    sockets.watch_for_a_dead_peer(sock)


@pytest.mark.parametrize(
    ("error", "addresses", "platform", "expected"),
    [
        (NO_ROUTE, ["192.168.1.5"], "darwin", True),
        (NO_ROUTE, ["10.0.0.1"], "darwin", True),
        (NO_ROUTE, ["fe80::1%en0"], "darwin", True),
        (NO_ROUTE, ["192.168.1.5"], "linux", False),
        (NO_ROUTE, ["160.79.104.10"], "darwin", False),
        (NO_ROUTE, ["127.0.0.1"], "darwin", False),
        (NO_ROUTE, ["proxy"], "darwin", False),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), ["192.168.1.5"], "darwin", False),
    ],
)
def test_privacy_of_the_local_network(error: OSError, addresses: Sequence[str], platform: str, expected: bool) -> None:
    why, command = sockets.refused_by_privacy(error, addresses, platform)
    assert bool(why) is bool(command) is expected
