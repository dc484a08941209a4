"""Who has a TCP port."""

import os
import re
import subprocess
from pathlib import Path


def who_listens(port: int) -> str:
    """Return "NAME (pid N)" of who listens on a TCP port, or an empty text where this user cannot see it."""
    if Path("/proc/net/tcp").exists():
        return _who_by_proc(port)
    try:
        found = subprocess.run(
            ["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"],
            capture_output=True, text=True, timeout=5, check=False,
        ).stdout  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = re.search(r"^p(\d+)\nc(.*)$", found, re.MULTILINE)
    return f"{match[2]} (pid {match[1]})" if match else ""


def _who_by_proc(port: int) -> str:
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
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue  # another user's, or gone
    return ""
