"""Which process listens on a TCP port, and whether a process is one of ours."""

import os
import re
import socket
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

_PROGRAM = "claude-gatewayd"
_MODULE = "claude_gatewayd"
_TIMEOUT = 5.0
_FREE = range(1, 200)
_LAST_PORT = 65535


class Holder(NamedTuple):
    """The process that holds a port. Our daemon goes by its own name, also where the system says "Python".

    *pid* is 0 for a process of another *user*, which cannot be seen.
    """

    name: str
    pid: int
    user: str = ""

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})" if self.pid else f"{self.name} of the user {self.user}"


def who_listens(port: int) -> Holder | None:
    """Return the process that listens on a TCP port; None if there is none, or nothing of it can be seen."""
    holder = _who_by_proc(port) if Path("/proc/net/tcp").exists() else _who_by_lsof(port)
    if holder is not None and holder.pid and is_ours(command_of(holder.pid)):
        return Holder(_PROGRAM, holder.pid)
    return holder


def free_port(beyond: int) -> int:
    """Return a port after *beyond* that nobody listens on; *beyond* itself if there is none."""
    return next((port for step in _FREE if (port := beyond + step) <= _LAST_PORT and _is_free(port)), beyond)


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
            sock.listen(1)
        except OSError:
            return False
    return True


def command_of(pid: int) -> list[str]:
    """Return the command line of a process, [] if it is gone or cannot be seen; ps(1) splits a path with a blank."""
    if Path("/proc/self/cmdline").exists():
        try:
            return [os.fsdecode(word) for word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]]
        except OSError:
            return []
    return _printed(["ps", "-ww", "-p", str(pid), "-o", "args="]).split()


def environment_of(pid: int) -> dict[str, str]:
    """Return a process's environment, {} where it cannot be seen. It may hold secrets."""
    try:
        given = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    entries = (entry.decode(errors="surrogateescape").partition("=") for entry in given if entry)
    return {name: value for name, _, value in entries}


def is_ours(command: list[str]) -> bool:
    """Return whether a command line is that of our daemon or of one of its workers, whatever the interpreter."""
    start = command[:8]  # the interpreter, whose path may hold blanks, its options, and the program
    return any(os.path.basename(word) == _PROGRAM for word in start) or any(
        option == "-m" and (module == _MODULE or module.startswith(f"{_MODULE}.")) for option, module in pairwise(start)
    )


def _who_by_lsof(port: int) -> Holder | None:
    found = _printed(["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"])
    match = re.search(r"^p(\d+)\nc(.*)$", found, re.MULTILINE)
    return Holder(match[2], int(match[1])) if match else None


def _printed(command: list[str]) -> str:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _who_by_proc(port: int) -> Holder | None:
    inodes, uids = set(), set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
                uids.add(int(fields[7]))
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            if any(os.readlink(entry) in inodes for entry in (process / "fd").iterdir()):
                return Holder((process / "comm").read_text().strip(), int(process.name))
        except OSError:
            continue  # another user's, or gone
    others = uids - {os.getuid()}
    return Holder("a program", 0, _name_of(min(others))) if others else None


def _name_of(uid: int) -> str:
    import pwd  # here: it is rarely another user

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"with uid {uid}"
