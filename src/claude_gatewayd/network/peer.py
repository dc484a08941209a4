"""Which user is at the other end of a connection on this machine, by the kernel's table of sockets (Linux only).

Over TCP nobody sends credentials, but both ends of a connection on loopback are in the kernel's table, each with the
uid that made it. One of them is asked for by its addresses (sock_diag(7)), which takes less than 0.1 ms however many
there are. /proc/net/tcp has the same, but to read it takes 50 ms and more, in which nobody else would be served.
"""

import errno
import socket
import struct
import sys
from pathlib import Path
from typing import NamedTuple

_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
_REQUEST = 1  # NLM_F_REQUEST
_HEADER = struct.Struct("=IHHII")  # nlmsghdr
_ASK = struct.Struct("=BBBBI")  # inet_diag_req_v2, up to the id
_PORTS = struct.Struct("!HH")
_ID_REST = struct.Struct("=I8s")  # interface and cookie
_TAIL = struct.Struct("=IIIII")  # of inet_diag_msg: expires, rqueue, wqueue, uid, inode
_ID_AT, _TAIL_AT = _HEADER.size + 4, _HEADER.size + 4 + 48
_ANY_COOKIE = b"\xff" * 8
_WITHIN = 0.05  # the kernel answers within sendto(); this is for what is not the kernel
_MAPPED = "::ffff:"


class Address(NamedTuple):
    """One end of a connection: a numeric address, IPv4 also where it came mapped into IPv6, and a port."""

    host: str
    port: int

    @classmethod
    def of(cls, name: object) -> "Address | None":
        """Return the address in what getsockname() or getpeername() returns; None for other kinds of sockets."""
        if not isinstance(name, tuple) or len(name) < 2:
            return None
        host = str(name[0])
        return cls(host.removeprefix(_MAPPED) if "." in host else host, int(name[1]))

    @property
    def family(self) -> socket.AddressFamily:
        """Its address family."""
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    @property
    def packed(self) -> bytes:
        """Its 4 or 16 bytes, in network order. Raises OSError."""
        return socket.inet_pton(self.family, self.host)


def uid_of(peer: Address, local: Address) -> int | None:
    """Return the uid of the socket that is bound to *peer* and connected to *local*.

    None where that cannot be known: on another machine or in another network namespace, or closed already, or where the
    kernel has no sock_diag, as in some sandboxes and not on Linux.
    An orphaned socket has no inode, and uid 0 for want of another: it is nobody's.
    """
    if sys.platform != "linux" or peer.family != local.family:
        return None
    try:
        return _by_sock_diag(peer, local)
    except OSError:
        return None


def can_tell(uid: int) -> bool:
    """Whether *uid* names one user. In a user namespace, all users without a mapping share the overflow uid."""
    try:
        return uid != int(Path("/proc/sys/kernel/overflowuid").read_text())
    except (OSError, ValueError):
        return True


def _by_sock_diag(peer: Address, local: Address) -> int | None:
    """Ask the kernel for one socket. Raises OSError, with ENOENT where there is none."""
    ends = _PORTS.pack(peer.port, local.port), peer.packed.ljust(16, b"\0"), local.packed.ljust(16, b"\0")
    wanted = _ASK.pack(peer.family, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF)
    wanted += b"".join((*ends, _ID_REST.pack(0, _ANY_COOKIE)))
    request = _HEADER.pack(_HEADER.size + len(wanted), _BY_FAMILY, _REQUEST, 1, 0) + wanted
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _SOCK_DIAG) as sock:
        sock.settimeout(_WITHIN)
        sock.sendto(request, (0, 0))
        answer = sock.recv(8192)
    if len(answer) < _TAIL_AT + _TAIL.size:
        code = struct.unpack_from("=i", answer, _HEADER.size)[0] if len(answer) >= _HEADER.size + 4 else 0
        raise OSError(-code or errno.EPROTO, "sock_diag refuses")
    # Without a connection the kernel returns whoever listens on that port: only the very connection counts.
    size = len(peer.packed)
    found = answer[_ID_AT : _ID_AT + 4], answer[_ID_AT + 4 :][:16], answer[_ID_AT + 20 :][:16]
    *_, uid, inode = _TAIL.unpack_from(answer, _TAIL_AT)
    same = found[0] == ends[0] and all(_ends_with(a, b, size) for a, b in zip(found[1:], ends[1:], strict=True))
    return int(uid) if same and inode else None


def _ends_with(found: bytes, wanted: bytes, size: int) -> bool:
    """Whether a 16 byte field has an address: an IPv4 one may come mapped, from a socket of the other family."""
    return found == wanted or (size == 4 and found == b"\0" * 10 + b"\xff\xff" + wanted[:4])
