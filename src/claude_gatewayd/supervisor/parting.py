"""To end without those who serve: under systemd all that is in our unit ends with us, so they move to a scope.

    restart    they serve on there, until a worker of the next supervisor serves and tells them to drain
    stop       they finish there what is under way; nobody waits for it

What is asked of systemd goes through busctl(1), which comes with it. Without a bus all stay where they are.
"""

import asyncio
import json
import logging
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

_ANSWERS_WITHIN = 5.0
_MOVED_WITHIN = 3.0
_LOOK_AGAIN = 0.01
_MANAGER = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
_END = {"exit.target", "shutdown.target"}

# A successor that cannot serve may take a person a day to mend. Until then they serve, and no longer.
LONGEST_STAY = 24 * 3600.0


def unit_of(cgroup: str) -> str:
    """Return the service that a /proc/PID/cgroup places a process in, if it is one of a user's manager."""
    for line in cgroup.splitlines():
        *above, last = line.rpartition(":")[2].split("/")
        if last.endswith(".service") and any(part.startswith("user@") for part in above):
            return last
    return ""


def own_unit() -> str:
    """Return the unit that this process is the main process of, or an empty text."""
    return unit_of(_cgroup(os.getpid())) if "NOTIFY_SOCKET" in os.environ else ""


async def job_of(unit: str) -> str | None:
    """Return the kind of the job that systemd has for a unit, "" for none, "exit" where systemd itself ends.

    None: it cannot be asked.
    """
    answer = await _ask("ListJobs")
    return None if answer is None else job_in(answer, unit)


def job_in(answer: str, unit: str) -> str:
    """Return the kind of a unit's job in busctl's answer to ListJobs."""
    jobs = {name: kind for _, name, kind, *_ in json.loads(answer)["data"][0]}
    if _END & jobs.keys():
        return "exit"
    found: str = jobs.get(unit, "")
    return found


async def move(unit: str, pids: Sequence[int], *, longest: float, drain: float) -> str:
    """Move processes to a scope beside *unit*, and return its name when they are there; an empty text if they are not.

    systemd ends them after *longest* seconds, and *drain* seconds after it was told to stop the scope. It is told so
    when the port is closed for good: they have it open, too.
    """
    stem = unit.removesuffix(".service")
    scope = f"{stem}-drain-{os.getpid()}.scope"
    answer = await _ask(
        "StartTransientUnit", "ssa(sv)a(sa(sv))", scope, "fail", "6",
        *("PIDs", "au", str(len(pids)), *map(str, pids)),
        *("Description", "s", f"{stem}: finishing what is under way"),
        *("PartOf", "as", "1", f"{stem}.socket"),
        *("TimeoutStopUSec", "t", str(int(drain * 1e6))),
        *("RuntimeMaxUSec", "t", str(int(longest * 1e6))),
        *("CollectMode", "s", "inactive-or-failed"),
        "0",
    )  # fmt: skip
    if answer is None:
        return ""
    # It answers before they have moved, and when we end it kills those that have not.
    deadline = time.monotonic() + _MOVED_WITHIN
    while not all(is_in(scope, pid) or not _cgroup(pid) for pid in pids):
        if time.monotonic() > deadline:
            logger.warning("systemd did not move %s to %s in time", pids, scope)
            return ""
        await asyncio.sleep(_LOOK_AGAIN)
    return scope


def is_in(scope: str, pid: int) -> bool:
    """Say whether a process is in a scope: then it is one of ours, whatever its number was used for."""
    return f"/{scope}\n" in _cgroup(pid)


async def _ask(method: str, *arguments: str) -> str | None:
    """Return what systemd answers, or None."""
    try:
        process = await asyncio.create_subprocess_exec(
            *("busctl", "--user", "--json=short", "call", *_MANAGER, method, *arguments),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
    except OSError as error:
        logger.warning("systemd cannot be asked: busctl: %s", error.strerror)
        return None
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        logger.warning("systemd did not answer %s within %g s", method, _ANSWERS_WITHIN)
        return None
    if process.returncode:
        logger.warning("systemd refused %s: %s", method, err.decode(errors="replace").strip())
        return None
    return out.decode(errors="replace")


def _cgroup(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return ""  # gone; or this is no Linux


@dataclass(frozen=True, slots=True)
class Predecessor:
    """A worker of a supervisor before this one, which serves on in its scope."""

    pid: int
    scope: str
    has_engine: bool

    @property
    def is_alive(self) -> bool:
        """Say whether it is still there."""
        return is_in(self.scope, self.pid)


class Predecessors:
    """Those that serve on until we do. *file* tells the next supervisor of them."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known = _read(file)

    def __bool__(self) -> bool:
        """Say whether any of them serves."""
        self._known = [one for one in self._known if one.is_alive]
        return bool(self._known)

    @property
    def pids(self) -> list[int]:
        """Those that are known."""
        return [one.pid for one in self._known]

    @property
    def have_engine(self) -> bool:
        """Say whether one of them has LiteLLM."""
        return any(one.has_engine for one in self._known)

    def leave(self, these: Sequence[Predecessor]) -> None:
        """Write down these, and those of before that still serve, for the next supervisor."""
        alive = [one for one in self._known if one.is_alive]
        try:
            self._file.write_text(json.dumps([asdict(one) for one in (*alive, *these)]))
        except OSError as error:
            logger.warning("the next supervisor is not told of those who serve: %s", error)

    def dismiss(self) -> None:
        """Tell them to drain."""
        for one in self._known:
            if one.is_alive:
                logger.info("the worker before us (pid %d) drains", one.pid)
                try:
                    os.kill(one.pid, signal.SIGTERM)
                except ProcessLookupError:
                    pass
        self._known = []
        self._file.unlink(missing_ok=True)


def _read(file: Path) -> list[Predecessor]:
    try:
        return [Predecessor(**one) for one in json.loads(file.read_text())]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        logger.warning("%s cannot be read: %s", file, error)
        return []
