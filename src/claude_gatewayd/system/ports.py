"""Which process listens on a TCP port."""

import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple


class Holder(NamedTuple):
    """The process that holds a port."""

    name: str
    pid: int

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"


def who_listens(port: int) -> Holder | None:
    """Return the process that listens on a TCP port; None if there is none, or this user cannot see it."""
    if Path("/proc/net/tcp").exists():
        return _who_by_proc(port)
    try:
        found = subprocess.run(
            ["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"],
            capture_output=True, text=True, timeout=5, check=False,
        ).stdout  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"^p(\d+)\nc(.*)$", found, re.MULTILINE)
    return Holder(match[2], int(match[1])) if match else None


def _who_by_proc(port: int) -> Holder | None:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            if any(os.readlink(entry) in inodes for entry in (process / "fd").iterdir()):
                return Holder((process / "comm").read_text().strip(), int(process.name))
        except OSError:
            continue  # another user's, or gone
    return None
