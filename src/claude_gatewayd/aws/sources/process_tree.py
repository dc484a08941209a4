"""Kills a process with all that it has started, also what has left its process group and its session."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Final

_PS_TIMEOUT: Final = 5.0
_ROUNDS: Final = 100


def kill(root: int) -> None:
    """Kill *root*, a child of ours that nobody has waited for yet, its group, and every process below it.

    Each is stopped first, so that it starts no other and its id stays its own until it is killed. What has no parent
    below *root* any longer is a daemon, like an agent that keeps a person's passphrase, and is left alone.
    """
    _send(root, signal.SIGSTOP)
    stopped = {root}
    for _ in range(_ROUNDS):
        new = {pid for pid, parent in _parents().items() if parent in stopped} - stopped
        if not new:
            break
        for pid in new:
            _send(pid, signal.SIGSTOP)
        parents = _parents()
        stopped |= {pid for pid in new if parents.get(pid) in stopped}
        for pid in new - stopped:  # it ended just before, and its id is another's now
            _send(pid, signal.SIGCONT)
    for pid in stopped - {root}:
        _send(pid, signal.SIGKILL)
    try:
        os.killpg(root, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):  # PermissionError: another user's now, as by sudo
        pass


def _parents() -> dict[int, int]:
    """Return the parent of each process."""
    if not os.path.exists("/proc/self/stat"):
        return _parents_by_ps()
    found = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                stat = Path("/proc", name, "stat").read_bytes()
            except OSError:
                continue
            found[int(name)] = int(stat.rpartition(b")")[2].split()[1])
    return found


def _parents_by_ps() -> dict[int, int]:
    try:
        listed = subprocess.run(
            ["/bin/ps", "-A", "-o", "pid=,ppid="],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=_PS_TIMEOUT, check=False,
        ).stdout  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return {}
    pairs = (line.split() for line in listed.splitlines())
    return {int(pair[0]): int(pair[1]) for pair in pairs if len(pair) == 2}
