"""Where the daemon is found: the control socket and the lock, in the runtime directory.

Whoever cleans directories, or a login that ends, may remove them while the daemon runs. Then they are made anew, or
nobody could reload or stop it, and a second daemon would start beside it.
"""

import contextlib
import logging
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

from claude_gatewayd import paths
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import control
from claude_gatewayd.ipc.lock import AlreadyRunning, acquire

if TYPE_CHECKING:
    import asyncio

logger = logging.getLogger(__name__)

_TOUCH_EVERY = 3600  # checks, which come once a second: cleaners remove what is days old

_Identity = tuple[int, int, int]


class Place:
    """The lock, and the control socket once there is one. *url* is for those who find the lock held."""

    def __init__(self, lock: IO[str], url: str, sock: socket.socket | None = None) -> None:
        self.lock = lock
        self.socket = sock
        self._url = url
        self._directory = Path(sock.getsockname()).parent if sock is not None else Path()
        self._identity = self._identify()
        self._server: asyncio.AbstractServer | None = None
        self._commands: dict[str, control.Command] = {}
        self._connections: set[asyncio.Task[None] | None] = set()
        self._trouble = ""
        self._checks = 0

    @classmethod
    def take(cls, environ: Mapping[str, str], url: str) -> Self:
        """Take the lock. Raises GatewayError, which names who has it."""
        directory, *earlier = paths.runtime_dirs(environ)
        paths.make_private(directory)
        for other in earlier:
            try:  # a daemon of an earlier version may be there
                acquire(other / paths.LOCK_NAME, url).close()
            except AlreadyRunning:
                raise
            except GatewayError:
                pass  # nobody is there, or nobody ever was
        return cls(acquire(directory / paths.LOCK_NAME, url), url)

    def listen(self, environ: Mapping[str, str]) -> None:
        """Create the control socket. Raises GatewayError."""
        self._directory = paths.runtime_dir(environ)
        self.socket = control.listen(self._directory / paths.SOCKET_NAME)
        self._identity = self._identify()

    async def serve(self, commands: dict[str, control.Command]) -> None:
        """Carry out commands that arrive on the socket."""
        assert self.socket is not None
        self._commands = commands
        self._server = await control.serve(self.socket, commands, self._connections)

    @property
    def is_at_rest(self) -> bool:
        """Return whether it could be handed over: there is a socket, and no command is being carried out."""
        return self.fileno() >= 0 and not self._connections

    def fileno(self) -> int:
        """Return the socket's descriptor, -1 if it is closed."""
        return -1 if self.socket is None else self.socket.fileno()

    async def look_after(self, environ: Mapping[str, str]) -> None:
        """Make anew what is gone or has been replaced, and keep the rest from getting old. Called once a second."""
        self._checks += 1
        if self._checks % _TOUCH_EVERY == 0:
            self._touch()
        if self._is_intact():
            return
        try:
            directory = paths.runtime_dir(environ)
            paths.make_private(directory)
            if not _is_open(self.lock, directory / paths.LOCK_NAME):
                lock, before = acquire(directory / paths.LOCK_NAME, self._url), self.lock
                self.lock = lock
                before.close()
            if self._server is not None:
                self._server.close()  # first: Python 3.13 would remove the new one with it
            self.listen(environ)
            await self.serve(self._commands)
        except (GatewayError, OSError) as error:
            trouble = f"another claude-gatewayd is at {directory}" if isinstance(error, AlreadyRunning) else str(error)
            if trouble != self._trouble:
                self._trouble = trouble
                logger.error("claude-gatewayctl cannot reach this daemon: %s", trouble)
        else:
            self._trouble = ""
            logger.warning("the control socket or the lock was gone: both are in %s again", self._directory)

    def leave(self) -> None:
        """Stop carrying out commands, and remove the socket, if it is still ours."""
        if self._server is not None:
            self._server.close()
        if self._identify() == self._identity:
            with contextlib.suppress(OSError):
                (self._directory / paths.SOCKET_NAME).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.lock.close()

    def _is_intact(self) -> bool:
        return (
            self._identity is not None
            and self._identify() == self._identity
            and _is_open(self.lock, self._directory / paths.LOCK_NAME)
        )

    def _identify(self) -> _Identity | None:
        """Return what tells the socket's file from another that has its name, and maybe the number of its inode."""
        try:
            status = os.stat(self._directory / paths.SOCKET_NAME)
        except OSError:
            return None
        return status.st_dev, status.st_ino, status.st_ctime_ns

    def _touch(self) -> None:
        if self._is_intact():
            for name in ("", paths.LOCK_NAME, paths.SOCKET_NAME):
                with contextlib.suppress(OSError):
                    os.utime(self._directory / name)
            self._identity = self._identify()


def _is_open(file: IO[str], path: Path) -> bool:
    """Return whether *file* is what is at *path*."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except OSError:
        return False
