"""Listening sockets that a service manager hands over."""

import os
import socket
from collections.abc import MutableMapping

_FIRST = 3  # sd_listen_fds(3)


def inherited_sockets(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """Return the sockets that systemd passed to this very process, and take the variables out of *environ*.

    They are closed on exec from now on: a worker is given its own.
    """
    try:
        ours = int(environ["LISTEN_PID"]) == os.getpid()
        count = int(environ["LISTEN_FDS"])
    except (KeyError, ValueError):
        return []
    if not ours:
        return []
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"):
        environ.pop(name, None)
    for descriptor in range(_FIRST, _FIRST + count):
        os.set_inheritable(descriptor, False)
    return [socket.socket(fileno=descriptor) for descriptor in range(_FIRST, _FIRST + count)]
