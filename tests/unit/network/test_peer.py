"""The user at the other end of a connection, by this kernel."""

import os
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from claude_gatewayd.network import peer
from claude_gatewayd.network.peer import Address
from tests.support.other_user import NOBODY, OtherUser, needs_root

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not say whose a connection is")

Lookup = Callable[[Address, Address], int | None]
_BOTH = pytest.mark.parametrize("lookup", [peer.uid_of])


def _ends(accepted: socket.socket) -> tuple[Address, Address]:
    there, here = Address.of(accepted.getpeername()), Address.of(accepted.getsockname())
    assert there is not None
    assert here is not None
    return there, here


@_BOTH
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_our_own_client(lookup: Lookup, family: socket.AddressFamily) -> None:
    with ExitStack() as opened:
        host = "127.0.0.1" if family == socket.AF_INET else "::1"
        listener = opened.enter_context(socket.create_server((host, 0), family=family))
        opened.enter_context(socket.create_connection(listener.getsockname()[:2]))
        accepted = opened.enter_context(listener.accept()[0])
        assert lookup(*_ends(accepted)) == os.getuid()


@_BOTH
@pytest.mark.parametrize("client", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_ipv4_at_a_socket_for_both(lookup: Lookup, client: str) -> None:
    with ExitStack() as opened:
        listener = opened.enter_context(socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True))
        opened.enter_context(socket.create_connection((client, listener.getsockname()[1])))
        accepted = opened.enter_context(listener.accept()[0])
        ends = _ends(accepted)
        assert ends[0].host == "127.0.0.1"
        assert lookup(*ends) == os.getuid()


@_BOTH
@needs_root
def test_a_client_of_another_user(lookup: Lookup) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, OtherUser(listener.getsockname()[1]) as other:
        caller = socket.create_connection(("127.0.0.1", other.port))
        with caller, listener.accept()[0] as accepted:
            assert lookup(*_ends(accepted)) == NOBODY


def test_a_client_that_is_gone_is_nobodys() -> None:
    """An orphaned socket has uid 0 for want of another: it is not root's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        with listener.accept()[0] as accepted:
            client.close()
            assert peer.uid_of(*_ends(accepted)) is None


def test_a_listener_is_no_client() -> None:
    """Where there is no such connection, the kernel returns who listens on that port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert peer.uid_of(Address.of(listener.getsockname()) or Address("", 0), Address("127.0.0.1", 1)) is None


@pytest.mark.parametrize("name", ["/run/sock", b"", None, ()])
def test_other_kinds_of_sockets_have_no_address(name: object) -> None:
    assert Address.of(name) is None


def test_another_machine() -> None:
    assert peer.uid_of(Address("192.0.2.1", 40000), Address("127.0.0.1", 47000)) is None
