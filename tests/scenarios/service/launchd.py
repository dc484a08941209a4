"""A stand-in for launchd: it holds the port, starts the job and starts it again, and `launchctl` speaks to it.

What it does is what Apple's manual pages and `launchctl help` say, and what people have measured. Where these disagree
it does either, as a `Temper` says. Only a Mac can show which it is.
"""

import json
import os
import plistlib
import select
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import pytest

from tests.support.daemon import BIN, free_port, wait_for_the_end_of_all
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


@dataclass(frozen=True, slots=True)
class Temper:
    """What launchd does where sources disagree, or versions differ.

    *kickstart_k*: what `kickstart -k` does to a job that runs. *respawns*: KeepAlive starts a job again that
    `launchctl kill` has ended; else it stays "not running" until a kickstart. *unloads*: `launchctl kill` unloads it.
    *starts_at_bootstrap*: else it stays "never exited", until a kickstart or a connection. *array_in_user*: a plist
    with an array in LimitLoadToSessionType can be loaded into the user's domain. *binds*: else the socket that it hands
    over has no address.
    """

    kickstart_k: Literal["term", "kill", "fail", "unload"] = "term"
    respawns: bool = True
    unloads: bool = False
    starts_at_bootstrap: bool = True
    array_in_user: bool = True
    binds: bool = True


USUAL = Temper()


class Mac:
    """A home on a Mac with launchd. *calls* are the commands that launchctl was given.

    *drains* is how long a label stays after the end of its job; *screen* says that somebody is logged in there.
    """

    def __init__(self, *, drains: float = 0.0, screen: bool = True, temper: Temper = USUAL) -> None:
        if shutil.which("cc") is None:
            pytest.skip("needs a C compiler for the stand-in of libSystem")
        self._directory = short_directory("ada l-")  # a home may have a blank
        self.home = Path(self._directory.name)
        self.port = free_port()
        self.calls: list[list[str]] = []
        self.drains, self.screen, self.temper = drains, screen, temper
        self.disabled = False
        self._job: subprocess.Popen[bytes] | None = None
        self._listener: socket.socket | None = None
        self._plist: dict[str, Any] = {}
        self._domain = ""  # the one in which it is loaded
        self._stopping = False
        self._kill_at = float("inf")
        self._rests = False  # until a kickstart or a connection
        self._free_at = 0.0
        self._last_exit: int | None = None
        self._spawned_at = 0.0
        self._lock = threading.RLock()
        self._unbound = socket.socket()
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
            if verb == "bootstrap":
                return self._bootstrap(words[0], Path(words[-1]))
            if verb == "load":  # the older one takes no domain, and succeeds whatever comes of it
                code, _, why = self._bootstrap(f"gui/{os.getuid()}", Path(words[-1]))
                return 0, "", f"Load failed: {why}" if code else ""
            if self._domain != domain:
                return 113, "", f'Could not find service "{LABEL}" in domain for {domain}\n'
            if verb == "print":
                return 0, self._print(), ""
            if verb == "bootout":
                self._stopping = True
                self._kill_at = time.monotonic() + self._plist["ExitTimeOut"]
                self._signal(signal.SIGTERM)
                if self._job is None:
                    self._unload()
                return 0, "", ""
            if self._stopping:
                return 37, "", "Operation already in progress\n"
            if verb == "kill":
                ends = words[0] in ("SIGTERM", "SIGKILL")
                self._rests = ends and not self.temper.respawns
                self._stopping = ends and self.temper.unloads
                self._signal(getattr(signal, words[0]))
                return 0, "", ""
            if verb == "kickstart":
                if "-k" in words and self.pid and (failed := self._kill_for_kickstart()):
                    return failed, "", "Could not kickstart service\n"
                self._rests = False
                if not self.pid:
                    self._spawn()
                return 0, "", ""
        return 64, "", f"unknown subcommand {verb}\n"

    def _kill_for_kickstart(self) -> int:
        """End a job that runs, as `kickstart -k` does it. Return its exit status where it goes no further."""
        assert self._job is not None
        kind = self.temper.kickstart_k
        if kind == "fail":
            return 5
        self._stopping = kind == "unload"
        self._signal(signal.SIGTERM if kind == "term" else signal.SIGKILL)
        self._job.wait(20)
        self._look()
        return 5 if kind == "unload" else 0

    def _print(self) -> str:
        pid = f"\tpid = {self.pid}\n" if self.pid else ""
        last = "\tlast exit code = (never exited)\n"
        if self._last_exit is not None:
            last = f"\tlast exit code = {self._last_exit}\n"
            if self._last_exit < 0:  # there is no exit code then
                died = signal.strsignal(-self._last_exit)
                last = f"\tlast terminating signal = {died}: {-self._last_exit}\n"
        return f"{self._domain}/{LABEL} = {{\n\tstate = x\n{pid}{last}}}\n"

    def _bootstrap(self, domain: str, file: Path) -> tuple[int, str, str]:
        failed = 5, "", "Bootstrap failed: 5: Input/output error\n"
        if self._domain or self.disabled or time.monotonic() < self._free_at:
            return failed
        self._plist = plistlib.loads(file.read_bytes())
        types = self._plist["LimitLoadToSessionType"]
        in_user = domain.startswith("user/")
        if in_user and isinstance(types, list) and not self.temper.array_in_user:
            return failed
        if ("Background" if in_user else "Aqua") not in types:
            return 134, "", "Bootstrap failed: 134: Service cannot load in requested session\n"
        asked = self._plist["Sockets"]["http"]
        try:
            if not self.temper.binds:
                raise OSError("no reason that anybody knows")
            self._listener = socket.create_server((asked["SockNodeName"], int(asked["SockServiceName"])))
        except OSError:
            self._listener = None  # launchd logs it, and starts the job all the same
        self._domain, self._stopping = domain, False
        self._rests = not self.temper.starts_at_bootstrap
        if not self._rests:
            self._spawn()
        return 0, "", ""

    def _spawn(self) -> None:
        plist = self._plist
        listener = self._listener if self.temper.binds else self._unbound
        self._spawned_at = time.monotonic()
        environ = {
            "HOME": str(self.home),
            "USER": "ada",
            "XPC_SERVICE_NAME": LABEL,
            **plist["EnvironmentVariables"],
            "PATH": f"{self.home}/bin:{plist['EnvironmentVariables']['PATH']}",  # launchctl is in /bin
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
            self._unload()

    def _unload(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._domain, self._stopping = "", False
        self._free_at, self._kill_at = time.monotonic() + self.drains, float("inf")

    def _keep_alive(self) -> None:
        while not self._ended.wait(0.05):
            with self._lock:
                self._look()
                if time.monotonic() > self._kill_at:
                    self._signal(signal.SIGKILL)
                if self._rests and self._job is None and self._listener is not None:
                    self._rests = not select.select([self._listener], [], [], 0)[0]
                throttled = time.monotonic() < self._spawned_at + self._plist.get("ThrottleInterval", 10)
                if self._domain and not (self._stopping or self._rests or throttled or self._job is not None):
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
        self._unbound.close()
        if self._listener is not None:
            self._listener.close()
        wait_for_the_end_of_all(self.home)  # what is in progress outlives its supervisor
        self._directory.cleanup()
