"""What a run leaves behind: no process, no socket, no directory. Whoever finds some ends the run with a failure."""

import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

VARIABLE: Final = "CLAUDE_GATEWAY_TESTS_TMP"
_MOST_NAMED: Final = 8  # files
_WORKER_OF_XDIST = b"exec(eval(sys.stdin.readline()))"


def short_directory(prefix: str) -> "tempfile.TemporaryDirectory[str]":
    """Return a directory with a short name: a socket's path may have 104 bytes, and pytest's own names are long."""
    return tempfile.TemporaryDirectory(prefix=prefix, dir=os.environ.get(VARIABLE, "/tmp"))


class Run:
    """One run of the suite: its directory, by which all that it starts is known."""

    def __init__(self, gone_within: float = 5.0) -> None:
        self._gone_within = gone_within
        self.directory = Path(tempfile.mkdtemp(prefix="cgw-", dir="/tmp"))
        self._before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = str(self.directory)

    def end(self) -> list[str]:
        """End what is left of it; return what that was."""
        deadline = time.monotonic() + self._gone_within
        # A process of xdist may be removing its last directory.
        while ((left := self._processes()) or os.listdir(self.directory)) and time.monotonic() < deadline:
            time.sleep(0.05)
        found = [f"a process, pid {pid}: {command}" for pid, command in left.items()]
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue  # it has ended
        for place in sorted(self.directory.iterdir()):
            files = sorted(str(path.relative_to(place)) for path in place.rglob("*") if not path.is_dir())
            found.append(f"in {self.directory}: {place.name} ({', '.join(files[:_MOST_NAMED]) or 'no file'})")
        shutil.rmtree(self.directory, ignore_errors=True)
        del os.environ[VARIABLE]
        if self._before is not None:
            os.environ[VARIABLE] = self._before
        return found

    def _processes(self) -> dict[int, str]:
        """Return those that work in the directory, or were told of it. Where there is no /proc they are not seen."""
        mine = str(self.directory).encode()
        found = {}
        for process in Path("/proc").glob("[0-9]*") if sys.platform == "linux" else ():
            try:
                command = (process / "cmdline").read_bytes()
                place = os.fsencode(os.readlink(process / "cwd"))
                is_mine = place.startswith(mine) or mine in (process / "environ").read_bytes()
            except OSError:
                continue  # it has ended, or is not ours
            if is_mine and int(process.name) != os.getpid() and _WORKER_OF_XDIST not in command:
                found[int(process.name)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
        return found
