"""A stand-in for launchd: it holds the port, starts the job and starts it again, and `launchctl` speaks to it.

What it does is what Apple's manual pages and `launchctl help` say. Only a Mac can show that launchd does the same.
"""

import json
import os
import plistlib
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.support.daemon import BIN, free_port
from tests.support.leftovers import short_directory
from tests.support.scripts import python_script

HERE = Path(__file__).parent
LABEL = "dev.claude-gateway.gatewayd"

_CLIENT = """
import json, socket, sys
with socket.socket(socket.AF_UNIX) as sock:
    sock.connect({path!r})
    sock.sendall(json.dumps(sys.argv[1:]).encode() + b"\\n")
    code, out, err = json.loads(sock.makefile().read())
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""


class Mac:
    """A home on a Mac with launchd. *calls* are the commands that launchctl was given.

    *drains* is how long a label stays after the end of its job; *screen* says that somebody is logged in there.
    """

    def __init__(self, *, drains: float = 0.0, screen: bool = True) -> None:
        if shutil.which("cc") is None:
            pytest.skip("needs a C compiler for the stand-in of libSystem")
        self._directory = short_directory("mac-")
        self.home = Path(self._directory.name)
        self.port = free_port()
        self.calls: list[list[str]] = []
        self.drains, self.screen = drains, screen
        self.disabled = False
        self._job: subprocess.Popen[bytes] | None = None
        self._listener: socket.socket | None = None
        self._plist: dict[str, Any] = {}
        self._loaded = False
        self._stopping = False
        self._free_at = 0.0
        self._last_exit = 0
        self._spawned_at = 0.0
        self._lock = threading.RLock()
        library, client = self.home / "libSystem.so", self.home / "bin" / "launchctl"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, HERE / "mac" / "launch.c"], check=True)
        client.parent.mkdir()
        path = str(self.home / "launchd")
        client.write_text(python_script(_CLIENT.format(path=path), "-SI"))
        client.chmod(0o755)
        self.system = {"PYTHONPATH": str(HERE / "mac"), "STAND_IN_LIBRARY": str(library)}
        self.environ = {
            **self.system,
            "HOME": str(self.home),
            "USER": "ada",
            "PATH": f"{client.parent}:{BIN}:/usr/bin:/bin",
            "CLAUDE_GATEWAY_LISTEN_PORT": str(self.port),
            "CLAUDE_GATEWAY_ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
        }
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(path)
        self._server.listen()
        self._threads = [threading.Thread(target=self._serve), threading.Thread(target=self._keep_alive)]
        self._ended = threading.Event()
        for thread in self._threads:
            thread.start()

    # -- the person's side

    def ctl(self, *arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run `claude-gatewayctl` in a shell there."""
        return subprocess.run(
            [str(BIN / "claude-gatewayctl"), *arguments], env={**self.environ, **(environ or {})},
            capture_output=True, text=True, timeout=60, check=False, cwd=self.home,
        )  # fmt: skip

    def good(self, *arguments: str, environ: Mapping[str, str] | None = None) -> str:
        """Run one that has to succeed; return its standard output."""
        done = self.ctl(*arguments, environ=environ)
        assert done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}\n{self.log}"
        return done.stdout

    @property
    def log(self) -> str:
        """What the daemon logged, and what it printed."""
        return "".join(file.read_text() for file in sorted((self.home / "Library/Logs/claude-gateway").glob("*.log*")))

    @property
    def pid(self) -> int:
        """The process id of the job, 0 if it does not run."""
        return self._job.pid if self._job is not None and self._job.poll() is None else 0

    # -- launchd's

    def _serve(self) -> None:
        while True:
            connection, _ = self._server.accept()
            with connection, connection.makefile() as asked:
                line = asked.readline()
                if not line:
                    return
                words = json.loads(line)
                self.calls.append(words)
                connection.sendall(json.dumps(self._command(*words)).encode())

    def _command(self, verb: str, *words: str) -> tuple[int, str, str]:
        domain, slash, _ = next((word for word in words if word.startswith(("gui/", "user/"))), "").partition(
            f"/{LABEL}"
        )
        named = bool(slash) or verb == "bootstrap"
        if domain.startswith("gui/") and not self.screen:
            return 125, "", f"Could not find domain for {domain}\n"
        with self._lock:
            self._look()
            if verb == "print" and not named:
                return 0, f"{domain} = {{\n}}\n", ""
            if verb == "print-disabled":
                return (
                    0,
                    f'\tdisabled services = {{\n\t\t"{LABEL}" => {"disabled" if self.disabled else "enabled"}\n\t}}\n',
                    "",
                )
            if verb in ("enable", "disable"):
                self.disabled = verb == "disable"
                return 0, "", ""
            if verb in ("bootstrap", "load"):  # the older one takes no domain, and succeeds whatever comes of it
                return self._bootstrap(Path(words[-1])) if verb == "bootstrap" else self._load(Path(words[-1]))
            if not self._loaded:
                return 113, "", f'Could not find service "{LABEL}" in domain for {domain}\n'
            if verb == "print":
                pid = f"\tpid = {self.pid}\n" if self.pid else ""
                return 0, f"{domain}/{LABEL} = {{\n\tstate = x\n{pid}\tlast exit code = {self._last_exit}\n}}\n", ""
            if verb == "bootout":
                self._stopping = True
                self._signal(signal.SIGTERM)
                return 0, "", ""
            if self._stopping:
                return 37, "", "Operation already in progress\n"
            if verb == "kill":
                self._signal(getattr(signal, words[0]))
                return 0, "", ""
            if verb == "kickstart":
                if "-k" in words and self._job is not None:
                    self._signal(signal.SIGTERM)
                    self._job.wait(20)
                    self._look()
                if not self.pid:
                    self._spawn()
                return 0, "", ""
        return 64, "", f"unknown subcommand {verb}\n"

    def _bootstrap(self, file: Path) -> tuple[int, str, str]:
        if self._loaded or self.disabled or time.monotonic() < self._free_at:
            return 5, "", "Bootstrap failed: 5: Input/output error\n"
        self._plist = plistlib.loads(file.read_bytes())
        asked = self._plist["Sockets"]["http"]
        try:
            self._listener = socket.create_server((asked["SockNodeName"], int(asked["SockServiceName"])))
        except OSError:
            self._listener = None  # launchd logs it, and starts the job all the same
        self._loaded, self._stopping = True, False
        self._spawn()
        return 0, "", ""

    def _load(self, file: Path) -> tuple[int, str, str]:
        code, _, why = self._bootstrap(file)
        return 0, "", f"Load failed: {why}" if code else ""

    def _spawn(self) -> None:
        plist, listener = self._plist, self._listener
        self._spawned_at = time.monotonic()
        environ = {
            "HOME": str(self.home),
            "USER": "ada",
            "XPC_SERVICE_NAME": LABEL,
            **plist["EnvironmentVariables"],
            **self.system,
            **({"STAND_IN_SOCKET": str(listener.fileno())} if listener is not None else {}),
        }
        with open(plist["StandardErrorPath"], "ab") as log:
            self._job = subprocess.Popen(
                plist["ProgramArguments"], env=environ, cwd=plist["WorkingDirectory"], umask=plist["Umask"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0,
                pass_fds=[listener.fileno()] if listener is not None else (),
            )  # fmt: skip

    def _signal(self, number: int) -> None:
        if self.pid:
            os.kill(self.pid, number)

    def _look(self) -> None:
        """Take note of the end of the job: launchd then kills what is left of its process group."""
        if self._job is None or self._job.poll() is None:
            return
        try:
            os.killpg(self._job.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._last_exit = self._job.returncode
        self._job = None
        if self._stopping:
            if self._listener is not None:
                self._listener.close()
            self._loaded, self._free_at = False, time.monotonic() + self.drains

    def _keep_alive(self) -> None:
        while not self._ended.wait(0.05):
            with self._lock:
                self._look()
                throttled = time.monotonic() < self._spawned_at + self._plist.get("ThrottleInterval", 10)
                if self._loaded and not self._stopping and self._job is None and not throttled:
                    self._spawn()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print(f"--- launchctl ---\n{self.calls}\n--- the log ---\n{self.log}")
        self._ended.set()
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(self.home / "launchd"))
        for thread in self._threads:
            thread.join()
        self._server.close()
        if self._job is not None:
            self._job.send_signal(signal.SIGTERM)
            try:
                self._job.wait(10)
            except subprocess.TimeoutExpired:
                self._job.kill()
                self._job.wait()
        if self._listener is not None:
            self._listener.close()
        self._directory.cleanup()
