"""Machines of the trial: each a network namespace with a name and an address, all at one switch."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

SWITCH: Final = "10.0.0.1"  # where the trial itself has an address
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_KINDS: Final = ("net", "uts")


class Machine(NamedTuple):
    """One machine. What is begun within `with machine.here()` runs on it: sockets, threads' children, processes."""

    name: str
    address: str

    @contextmanager
    def here(self) -> Iterator[None]:
        """Have this thread be on the machine."""
        before = [os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in _KINDS]
        try:
            for kind in _KINDS:
                _enter(os.open(f"/run/{kind}ns/{self.name}", os.O_RDONLY | os.O_CLOEXEC))
            yield
        finally:
            for descriptor in before:
                _enter(descriptor)


class Network:
    """The switch. It goes with the namespace that it is in: nobody has to remove it."""

    def __init__(self) -> None:
        for kind in _KINDS:
            Path(f"/run/{kind}ns").mkdir()
        _ip("link", "set", "lo", "up")
        # an address of its own: otherwise it is that of a port, another one as soon as a machine is added, and who has
        # talked to us before sends to nobody for half a minute
        _ip("link", "add", "switch", "address", "02:00:00:00:00:01", "type", "bridge")
        _ip("addr", "add", f"{SWITCH}/24", "dev", "switch")
        _ip("link", "set", "switch", "up")

    def add(self, name: str, address: str) -> Machine:
        """Plug a machine in."""
        uts = Path(f"/run/utsns/{name}")
        uts.touch()
        subprocess.run(["unshare", f"--uts={uts}", "hostname", name], check=True)
        _ip("netns", "add", name)
        _ip("link", "add", _port(name), "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("link", "set", _port(name), "master", "switch", "up")
        for words in (("link", "set", "lo", "up"), ("addr", "add", f"{address}/24", "dev", "eth0"),
                      ("link", "set", "eth0", "up")):  # fmt: skip
            _ip("-n", name, *words)
        return Machine(name, address)

    def part(self, one: Machine, other: Machine) -> None:
        """Lose in silence all that is sent between two machines; each still reaches all others."""
        self._isolate("on", one, other)

    def join(self, one: Machine, other: Machine) -> None:
        """Let them hear one another again."""
        self._isolate("off", one, other)

    def _isolate(self, on_or_off: str, *machines: Machine) -> None:
        for machine in machines:  # isolated ports of a bridge hear only those that are not
            _ip("link", "set", "dev", _port(machine.name), "type", "bridge_slave", "isolated", on_or_off)


def _port(name: str) -> str:
    return f"to-{name}"[:15]


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def _enter(namespace: int) -> None:
    """Enter a namespace with this thread, and close what it was opened by."""
    try:
        if _LIBC.setns(namespace, 0) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(namespace)
