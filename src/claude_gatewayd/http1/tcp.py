"""What the kernel knows of a TCP connection, and how to make it drop what it has not delivered."""

import asyncio
import fcntl
import logging
import socket
import struct
import sys
import termios

logger = logging.getLogger(__name__)

_SO_NWRITE = 0x1024  # macOS, <sys/socket.h>: bytes in the send buffer, which is where they are until acknowledged


def unacknowledged(transport: asyncio.Transport | None) -> int | None:
    """Return how many of the bytes sent the peer's TCP has not acknowledged; None where that cannot be known."""
    sock: socket.socket | None = transport.get_extra_info("socket") if transport is not None else None
    if transport is None or sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    try:
        if sys.platform == "linux":  # tcp(7), SIOCOUTQ; in bytes, where TCP_INFO has segments
            (queued,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))
        elif sys.platform == "darwin":
            queued = sock.getsockopt(socket.SOL_SOCKET, _SO_NWRITE)
        else:
            return None
    except OSError as error:
        logger.debug("the kernel does not say what has been acknowledged: %s", error)
        return None
    return int(queued) + transport.get_write_buffer_size()


def discard_unsent(transport: asyncio.Transport | None) -> None:
    """Let the end of the connection be a reset, with which the kernel forgets what it has not delivered yet."""
    sock: socket.socket | None = transport.get_extra_info("socket") if transport is not None else None
    if sock is not None:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError as error:  # macOS refuses it on a socket that both sides have shut down
            logger.debug("no reset: %s", error)
