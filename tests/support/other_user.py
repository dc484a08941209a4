"""Another user of this machine: a process of theirs that listens, and passes on what it gets, as their own client."""

import os
import pwd  # noqa: F401 - for what is forked: nobody cannot read our interpreter
import select
import signal
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Self

import pytest

NOBODY = 65534

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")


def as_nobody(action: Callable[[], str]) -> str:
    """Return what *action* returns in a process of nobody's. Modules that it needs are to be imported before."""
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            _become_nobody()
            os.write(into, action().encode())
        finally:
            os._exit(0)
    os.close(into)
    with os.fdopen(out) as result:
        text = result.read()
    os.waitpid(pid, 0)
    return text


def _become_nobody() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


class OtherUser:
    """A relay that runs as nobody: a caller of *port* with another uid, or a squatter in front of it.

    Forked, not started: below a private home, nobody could not even read an interpreter.
    """

    def __init__(self, port: int, *, at: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", at))
        self._to = port
        self.port: int = self._listener.getsockname()[1]
        self._pid = 0

    def __enter__(self) -> Self:
        self._listener.close()
        at = self.port
        ready, done = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                _become_nobody()
                listener = socket.socket()  # its uid is that of now
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(("127.0.0.1", at))
                listener.listen()
                os.write(done, b"1")
                _relay(listener, self._to)
            finally:
                os._exit(1)
        os.close(done)
        assert os.read(ready, 1) == b"1"
        os.close(ready)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def _relay(listener: socket.socket, to: int) -> None:
    """Pass bytes between callers and *to*, one connection for one. Ends with its process."""
    other: dict[socket.socket, socket.socket] = {}
    while True:
        for readable in select.select([listener, *other], [], [])[0]:
            if readable is listener:
                caller, _ = listener.accept()
                upstream = socket.socket()
                upstream.connect(("127.0.0.1", to))
                other[caller], other[upstream] = upstream, caller
                continue
            if readable not in other:
                continue
            data = readable.recv(65536)
            if data:
                other[readable].sendall(data)
                continue
            partner = other.pop(readable)
            del other[partner]
            readable.close()
            partner.close()
