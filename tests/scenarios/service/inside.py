"""A systemd user manager of a test's own: `tests/support/with-user-systemd`, and a shell inside it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import pytest

from tests.support.daemon import BIN

ROOT = Path(__file__).parents[3]
LAUNCHER = ROOT / "tests" / "support" / "with-user-systemd"
_CANNOT = 77

# Carries out one shell command a line, and says how each went.
_AGENT = """
import json, subprocess, sys
print("{}", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    try:
        done = subprocess.run(["/bin/bash", "-c", asked["command"]], capture_output=True, text=True, errors="replace",
                              stdin=subprocess.DEVNULL, timeout=asked["seconds"])
        said = {"returncode": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
    except subprocess.TimeoutExpired as late:
        said = {"returncode": -1, "stdout": str(late.stdout), "stderr": f"it took too long: {late.stderr}"}
    print(json.dumps(said), flush=True)
"""


class Inside:
    """A machine with nothing on it but us: a person without privileges, an empty home, a manager and a journal."""

    home = "/run/home"
    uid = 30123
    runtime = f"/run/user/{uid}"

    def __init__(self, *options: str, environ: Mapping[str, str] | None = None) -> None:
        shown = {"PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin:/usr/sbin", **(environ or {})}
        self._process = subprocess.Popen(
            [str(LAUNCHER), *options, "--", *("env", *(f"{name}={value}" for name, value in shown.items())),
             sys.executable, "-c", _AGENT],
            env={**os.environ, "W_BIND": f"{ROOT}:{sys.base_prefix}", "PYTHON": sys.executable},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._stdout.readline() == "{}\n" or self._cannot(), "it did not come up"

    def _cannot(self) -> bool:
        _, result = self._process.communicate(timeout=30)
        if self._process.returncode == _CANNOT:
            pytest.skip(result.strip().splitlines()[-1])
        raise AssertionError(f"with-user-systemd ended with {self._process.returncode}: {result}")

    @property
    def _stdout(self) -> IO[str]:
        assert self._process.stdout is not None
        return self._process.stdout

    def run(self, command: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a shell command."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"command": command, "seconds": seconds}) + "\n")
        self._process.stdin.flush()
        result: dict[str, Any] = json.loads(self._stdout.readline())
        return subprocess.CompletedProcess(command, **result)

    def good(self, command: str, seconds: float = 60) -> str:
        """Run a shell command that has to succeed; return its standard output."""
        done = self.run(command, seconds)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}\n{self.journal()}"
        return done.stdout

    def bad(self, command: str, status: int = 1) -> str:
        """Run a shell command that has to fail; return its standard error."""
        done = self.run(command)
        assert done.returncode == status, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stderr

    def put(self, path: str, text: str) -> None:
        """Write a file."""
        self.good(f"mkdir -p \"$(dirname '{path}')\" && cat > '{path}' <<'.END.'\n{text}.END.\n")

    def journal(self) -> str:
        """Return all that was logged."""
        return self.run("journalctl --quiet --no-pager --output=cat | tail -n 60").stdout

    def close(self) -> None:
        """End the manager and all that it has started."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            self._process.wait(20)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def has(program: str) -> bool:
    """Say whether this machine has a program."""
    return shutil.which(program) is not None


UNITS = f"{Inside.home}/.config/systemd/user"
LINK = f"{Inside.home}/.local/share/claude-gateway/current"


def status(inside: Inside) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(inside.good("claude-gatewayctl status --json"))
    return result


def listens(inside: Inside, port: int = 47000) -> bool:
    return inside.run(f"exec 3<>/dev/tcp/127.0.0.1/{port}").returncode == 0
