"""A gateway on a machine of its own, in an installation of its own, as a person would run it there."""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bench import processes
from tests.support.daemon import Daemon, wait_until

from trial.network import Machine

PORT: Final = 47000
_READY: Final = 5.0  # seconds for an answer


class Installation:
    """A virtual environment with the gateway from a wheel; the packages that it needs are those of this checkout."""

    def __init__(self, directory: Path, wheel: str) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True)
        self._python = directory / "bin" / "python"
        name = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = sysconfig.get_paths()["purelib"]
        (directory / "lib" / name / "site-packages" / "needed.pth").write_text(f"{packages}\n")
        self.programs = directory / "bin"
        self.install(wheel)

    def install(self, wheel: str) -> None:
        """Put another version in the place of this one, as `pip install --upgrade` does."""
        pip = [sys.executable, "-m", "pip", "--python", str(self._python), "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--no-index", "--no-deps", "--force-reinstall", wheel], check=True)


class Gateway(Daemon):
    """One gateway. It can be ended, killed, upgraded and started again."""

    def __init__(
        self, machine: Machine, installation: Installation, *, upstream: str, key: str, config: str,
        environ: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        listen = {"CLAUDE_GATEWAY_LISTEN_HOST": machine.address, "CLAUDE_GATEWAY_LISTEN_PORT": str(PORT)}
        super().__init__(
            upstream=upstream, config=config, environ={**listen, **(environ or {})},
            executable=installation.programs / "claude-gatewayd", has_ledger=False,
        )  # fmt: skip
        self.machine = machine
        self.name = machine.name
        self.port = PORT
        self.url = f"http://{machine.address}:{PORT}"
        self.installation = installation
        state = self.home / "s" / "claude-gateway"
        state.mkdir(parents=True, mode=0o700)
        (state / "gateway.key").touch(0o600)
        (state / "gateway.key").write_text(key + "\n")

    def spawn(self) -> "subprocess.Popen[bytes]":
        """Start the process on its machine."""
        with self.machine.here():
            return super().spawn()

    def answers(self) -> bool:
        """Say whether it is ready."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=_READY) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def ctl(self, *arguments: str, timeout: float = 60) -> "subprocess.CompletedProcess[str]":
        """Run the installation's `claude-gatewayctl` on its machine."""
        with self.machine.here():
            return subprocess.run(
                [str(self.installation.programs / "claude-gatewayctl"), *arguments],
                env=self.environ, capture_output=True, text=True, timeout=timeout, check=False, cwd=self.home,
            )  # fmt: skip

    def restart(self) -> None:
        """End it as Kubernetes and systemd do, and start it when it is gone."""
        self.signal(signal.SIGTERM)
        assert self.wait(180) == 0, self.describe()
        self.spawn()
        self.wait_serving()

    def kill_all(self) -> float:
        """Kill all of its processes at once, as the kernel's OOM killer does with a container; return when that was."""
        assert self.process is not None
        family = processes.family(self.pid)
        at = time.monotonic()
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        wait_until(lambda: not self.workers(), describe=self.describe)
        return at

    def is_settled(self) -> bool:
        """Say whether its rows are all in the database."""
        ledger = self.status()["ledger"]
        return ledger["state"] == "ok" and not ledger["waiting"] and not ledger["spilled"]

    def waiting(self) -> int:
        """Return how many rows wait in it."""
        ledger = self.status()["ledger"]
        return int(ledger["waiting"]) + int(ledger["spilled"])

    def cpu(self) -> float:
        """Return the seconds of CPU that it has taken so far."""
        return processes.cpu_of_family(self.pid)

    def keep_log(self, directory: Path) -> None:
        """Copy its log."""
        shutil.copy(self.log_file, directory / f"{self.name}.log")
