"""What the started processes use, read from /proc, and how they are ended (Linux only)."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
STOP_LIMIT = 15  # seconds from SIGTERM to SIGKILL
MB = 1_000_000


@dataclass(frozen=True)
class Memory:
    """One process and its memory in MB of a million bytes."""

    pid: int
    command: str
    rss: float
    pss: float


def family(root: int) -> list[int]:
    """Return *root* and all below it, parents before children, older before younger."""
    children: dict[int, list[int]] = {}
    for pid in sorted(int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()):
        fields = _stat(pid)
        if fields:
            children.setdefault(int(fields[1]), []).append(pid)
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def memory(pid: int) -> Memory | None:
    """Return what one process holds, or None if it is gone."""
    try:
        rollup = (PROC / str(pid) / "smaps_rollup").read_text()
        command = (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return None
    rss, pss = (re.search(rf"^{name}:\s+(\d+) kB", rollup, re.MULTILINE) for name in ("Rss", "Pss"))
    if rss is None or pss is None:
        return None
    return Memory(pid, command[:120], int(rss[1]) * 1024 / MB, int(pss[1]) * 1024 / MB)


def cpu_of_family(root: int) -> float:
    """Return the CPU seconds so far of *root* and all below it, also of those that have ended and were waited for."""
    ticks = sum(int(used) for pid in family(root) for used in _stat(pid)[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


class CpuClock:
    """The CPU seconds that some processes use from now on."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = list(pids)
        self._threads, self._ticks = self._read()

    def elapsed(self) -> float:
        """Return the seconds since the clock was made."""
        threads, ticks = self._read()
        exact = sum(used - self._threads.get(thread, 0) for thread, used in threads.items()) / 1e9
        # a thread that has ended takes its nanoseconds along; the coarse count of its process keeps them
        coarse = (ticks - self._ticks - 2) / os.sysconf("SC_CLK_TCK")
        return max(exact, coarse)

    def _read(self) -> tuple[dict[str, int], int]:
        threads: dict[str, int] = {}
        ticks = 0
        for pid in self._pids:
            fields = _stat(pid)
            if fields:
                ticks += int(fields[11]) + int(fields[12])
            try:
                for task in (PROC / str(pid) / "task").iterdir():
                    threads[task.name] = int((task / "schedstat").read_text().split()[0])
            except OSError:
                continue
        return threads, ticks


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that we started, politely at first, and what it leaves behind."""
    below = {pid: _started_at(pid) for pid in family(process.pid)[1:]}
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    patience = time.monotonic() + 1
    while (left := [pid for pid, started in below.items() if _alive(pid, started)]) and time.monotonic() < patience:
        time.sleep(0.02)
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the command's name: state, parent and so on."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _started_at(pid: int) -> str:
    fields = _stat(pid)
    return fields[19] if fields else ""


def _alive(pid: int, started: str) -> bool:
    """Tell whether *pid* is still the process it was, and not a zombie."""
    fields = _stat(pid)
    return bool(fields) and fields[0] != "Z" and fields[19] == started
