"""A service manager, as far as sd_notify(3) goes: it starts a daemon and hears what it says."""

import os
import socket
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from tests.support.daemon import wait_until
from tests.support.leftovers import short_directory


class Manager:
    """A notify socket. *heard* has the messages in their order, each with its assignments."""

    def __init__(self) -> None:
        self.heard: list[dict[str, str]] = []
        self._directory = short_directory("m-")
        self.path = f"{self._directory.name}/notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._thread = threading.Thread(target=self._hear)
        self._thread.start()

    @property
    def environ(self) -> Mapping[str, str]:
        """What the daemon is given."""
        return {"NOTIFY_SOCKET": self.path}

    def _hear(self) -> None:
        while data := self._socket.recv(65536):
            lines = data.decode().split("\n")
            self.heard.append(dict(line.split("=", 1) for line in lines))

    def saying(self, name: str, value: str | None = None) -> list[dict[str, str]]:
        """Return the messages that assign a value, or any, to a name."""
        return [message for message in self.heard if name in message and value in (None, message[name])]

    def wait_for(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        """Wait for what is going to be said."""
        wait_until(condition, seconds, lambda: self.heard)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
            own.sendto(b"", self.path)
        self._thread.join()
        self._socket.close()
        self._directory.cleanup()


def environment_of(pid: int) -> dict[str, str]:
    """Return the environment that a process was started with."""
    with open(f"/proc/{pid}/environ", "rb") as file:
        entries = file.read().split(b"\0")
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in (entry.partition(b"=") for entry in entries)}
