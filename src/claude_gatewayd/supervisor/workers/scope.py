"""Workers that outlive the supervisor: systemd ends all processes of a unit, so they move to a scope of their own.

    restart    they serve on there until a worker of the next supervisor serves and has them drain
    stop       they finish the requests that are under way; nobody waits for that

systemd is called by busctl(1), which comes with it. Without a message bus the workers stay in the unit.
"""

import asyncio
import json
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

logger = logging.getLogger(__name__)

_ANSWERS_WITHIN = 5.0
_MOVED_WITHIN = 3.0
_LOOK_AGAIN = 0.01
_MANAGER = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
_END = {"exit.target", "shutdown.target"}

# If the next supervisor cannot serve, they serve for a day at most while somebody repairs it.
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
    answer = await _call_manager("ListJobs")
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

    systemd ends them after *longest* seconds, or *drain* seconds after a stop of the scope. The scope is stopped with
    our socket unit, for the workers have its port open, too.
    """
    stem = unit.removesuffix(".service")
    scope = f"{stem}-drain-{os.getpid()}.scope"
    answer = await _call_manager(
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
    # systemd answers before they have moved, and kills those left in the unit when we end.
    deadline = time.monotonic() + _MOVED_WITHIN
    while not all(is_in(scope, pid) or not _cgroup(pid) for pid in pids):
        if time.monotonic() > deadline:
            logger.warning("systemd did not move %s to %s in time", pids, scope)
            return ""
        await asyncio.sleep(_LOOK_AGAIN)
    return scope


def is_in(scope: str, pid: int) -> bool:
    """Return whether a process is in a scope, so that a pid that is in use again is not taken for a worker."""
    return f"/{scope}\n" in _cgroup(pid)


async def _call_manager(method: str, *arguments: str) -> str | None:
    """Return the reply of systemd's manager, or None."""
    try:
        process = await asyncio.create_subprocess_exec(
            *("busctl", "--user", "--json=short", "call", *_MANAGER, method, *arguments),
            # busctl would report its own failures there as ours
            env={name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"},
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
