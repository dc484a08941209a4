"""Listening sockets passed by a service manager."""

import logging
import os
import socket
from collections.abc import Callable, MutableMapping
from typing import Any

logger = logging.getLogger(__name__)

_FIRST = 3  # sd_listen_fds(3)
_LIBRARY = "/usr/lib/libSystem.B.dylib"  # in dyld's cache, not on disk
_SOCKET_NAME = b"http"  # in Sockets of the plist


def inherited_sockets(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """Return the sockets that systemd passed to this process, and take the variables out of *environ*.

    From now on they are closed on exec; workers inherit theirs explicitly.
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


def launchd_sockets(load: Callable[[str], Any] | None = None) -> list[socket.socket]:
    """Return the sockets that launchd holds for this job. It passes them once in the life of a process.

    From now on they are closed on exec. There may be several, one for each address family. *load* opens a library.
    """
    import ctypes  # here, for it is not needed under systemd

    try:
        library = (load or ctypes.CDLL)(_LIBRARY)
        activate = library.launch_activate_socket
    except (OSError, AttributeError) as error:
        logger.warning("cannot get the socket from launchd: %s", error)
        return []
    found, count = ctypes.POINTER(ctypes.c_int)(), ctypes.c_size_t()
    activate.restype = ctypes.c_int
    activate.argtypes = [
        ctypes.c_char_p, ctypes.POINTER(ctypes.POINTER(ctypes.c_int)), ctypes.POINTER(ctypes.c_size_t),
    ]  # fmt: skip
    failed = activate(_SOCKET_NAME, ctypes.byref(found), ctypes.byref(count))
    if failed:
        logger.warning("launchd has no socket for us: %s", os.strerror(failed))
        return []
    library.free.restype, library.free.argtypes = None, [ctypes.c_void_p]
    try:
        sockets = [socket.socket(fileno=found[number]) for number in range(count.value)]
    finally:
        library.free(found)
    for one in sockets:
        one.set_inheritable(False)
    return sockets
