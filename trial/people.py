"""Those who ask, on their machine: processes with many clients, and sessions of the real Claude Code."""

import json
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from bench import processes
from tests.scenarios.client.claude import VERSIONS, Claude, Result, why_no_client

from trial.balancers import ROOT
from trial.clients import Asked, Plan
from trial.network import Machine

VERSION: Final = VERSIONS[-1]
_ENDS_WITHIN: Final = 120.0
_PROMPTS: Final = (
    "[[slow 80 0.1]]",
    '[[tool Bash {"command": "echo heron"}]] [[slow 40 0.1]]',
    "[[think]] [[slow 60 0.1]]",
)


class Crowd:
    """A process of clients; `asked` grows while they ask."""

    def __init__(self, plan: Plan, machine: Machine) -> None:
        self.asked: list[Asked] = []
        with machine.here():
            self._process = subprocess.Popen(
                [sys.executable, "-m", "trial.clients"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(plan)).encode() + b"\n")
        self._process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._process.kill()
        self.stop()

    def stop(self) -> None:
        """Have them ask no more, and wait until each has its answer."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            assert self._process.wait(_ENDS_WITHIN) in (0, -9)
        finally:
            self._process.kill()
            self._reader.join()

    def cpu(self) -> float:
        """Return the seconds of CPU that they have taken."""
        return processes.cpu_of_family(self._process.pid)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.asked.append(Asked(*json.loads(line)))


class Turn(NamedTuple):
    """A run of Claude Code: when it was over, whether it came to its end, and how often it had to ask again."""

    session: str
    ended: float
    succeeded: bool
    retries: int
    what: str


def why_no_sessions() -> str:
    """Return why there are no sessions of Claude Code here, or nothing."""
    return why_no_client(VERSION)


class Session:
    """Somebody who gives Claude Code one task after the other."""

    def __init__(self, number: int, machine: Machine, url: str, ca_file: str, key: str, home: Path) -> None:
        env = {"NODE_EXTRA_CA_CERTS": ca_file, "ANTHROPIC_CUSTOM_HEADERS": f"x-gateway-key: {key}"}
        self._claude = Claude(VERSION, url, home, env=env)
        self._number = number
        self._machine = machine
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self.turns: list[Turn] = []

    def __enter__(self) -> Self:
        self._claude.home.mkdir(parents=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Have them finish the task."""
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        with self._machine.here():
            while not self._over.is_set():
                prompt = _PROMPTS[(self._number + len(self.turns)) % len(_PROMPTS)]
                self.turns.append(_turn(self._claude.ask(prompt, timeout=_ENDS_WITHIN)))


def _turn(result: Result) -> Turn:
    retries = len(result.of("system", "api_retry"))
    what = "" if result.succeeded else str(result)[-600:]
    return Turn(str(result.final.get("session_id", "")), time.monotonic(), result.succeeded, retries, what)
