"""The commands of the control socket."""

import asyncio
import functools
import os
import time
from typing import Any, Protocol

import claude_gatewayd
from claude_gatewayd.ipc import control, wire
from claude_gatewayd.problem import Problem
from claude_gatewayd.supervisor import status as status_report
from claude_gatewayd.supervisor.workers.generations import Generations

_FRESH_WITHIN = 0.5  # a worker that hangs has its last snapshot shown
_REACHED_WITHIN = 7.0
_LISTED_WITHIN = 5.0
_LINKED_WITHIN = 5.0
_REFRESHED_WITHIN = 50.0  # a renewal may be under way already
_KEYS_CHANGED: wire.Message = {"kind": "keys-changed"}  # of `worker.sharing.messages`


class Daemon(Protocol):
    """What commands need of the supervisor."""

    generations: Generations
    program_path: str

    def status(self) -> dict[str, Any]:
        """Return what `status` replies."""

    def reload(self, *, forgets: bool = False) -> asyncio.Future[list[Problem]]:
        """Reload; the future holds the problems that prevented it."""

    def stop(self) -> None:
        """End after what is under way."""


class Commands:
    """Carry out commands on a supervisor."""

    def __init__(self, supervisor: Daemon) -> None:
        self._supervisor = supervisor
        self._linking = asyncio.Lock()

    def by_name(self) -> dict[str, control.Command]:
        """Return the commands. Their names and the fields of their replies are a contract."""
        return {
            "dashboard-link": self._dashboard_link,
            "status": self._status,
            "health": self._health,
            "keys-changed": self._keys_changed,
            "look-at-login": self._look_at_login,
            "models": self._models,
            "reach": self._reach,
            "refresh-models": self._refresh_models,
            "reload": self._reload,
            "reload-and-forget": functools.partial(self._reload, forgets=True),
            "stop": self._stop,
            "version": self._version,
        }

    async def _status(self) -> wire.Message:
        await self._supervisor.generations.refresh(_FRESH_WITHIN)
        return self._supervisor.status()

    async def _health(self) -> wire.Message:
        await self._supervisor.generations.refresh(_FRESH_WITHIN)
        return status_report.health(self._supervisor.status(), time.time())

    async def _keys_changed(self) -> wire.Message:
        self._supervisor.generations.tell_all(_KEYS_CHANGED)
        return {}

    async def _look_at_login(self) -> wire.Message:
        for generation in self._supervisor.generations:
            generation.look_at_login()
        return {}

    async def _reach(self) -> wire.Message:
        current = self._supervisor.generations.current
        try:
            return {} if current is None else await current.reach(_REACHED_WITHIN)
        except TimeoutError:
            return {}  # it hangs, or is of a version that does not know the order

    async def _dashboard_link(self) -> wire.Message:
        current = self._supervisor.generations.current
        try:
            async with self._linking:  # each has a link of its own
                link = {} if current is None else await current.dashboard_link(_LINKED_WITHIN)
        except TimeoutError:
            link = {}
        return {"address": self._supervisor.status()["address"], **link}

    async def _models(self) -> wire.Message:
        return await self._list_models(_LISTED_WITHIN, refresh=False)

    async def _refresh_models(self) -> wire.Message:
        return await self._list_models(_REFRESHED_WITHIN, refresh=True)

    async def _list_models(self, seconds: float, *, refresh: bool) -> wire.Message:
        for _ in range(2):
            current = self._supervisor.generations.current
            if current is None:
                break
            try:
                return await current.models(seconds, refresh=refresh)
            except TimeoutError:
                if not current.ended.done():  # else a reload came in between, and its successor is asked
                    break
        return {}

    async def _reload(self, *, forgets: bool = False) -> wire.Message:
        begun = time.monotonic()
        problems = await asyncio.shield(self._supervisor.reload(forgets=forgets))
        current = self._supervisor.generations.current
        return {
            "applied": not problems,
            "problems": [problem.as_dict() for problem in problems],
            "seconds": round(time.monotonic() - begun, 3),
            "generation": current.number if current is not None else None,
        }

    async def _stop(self) -> wire.Message:
        asyncio.get_running_loop().call_soon(self._supervisor.stop)
        return {"stopping": True, "pid": os.getpid(), "under_way": self._supervisor.status()["under_way"]}

    async def _version(self) -> wire.Message:
        return {"version": claude_gatewayd.__version__, "program": self._supervisor.program_path}
