"""A real daemon, as a person would run it, in directories of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from signal import SIGKILL
from types import TracebackType
from typing import Any, ClassVar, Self

from claude_gatewayd import paths
from claude_gatewayd.ipc import wire
from tests.support.leftovers import short_directory

BIN = Path(sys.executable).parent


ROOT = Path(__file__).parents[2]

PATIENCE = 60.0  # seconds, after which what has not come about never will, also on a machine that is slow and busy


def drop_in_of_a_checkout() -> str:
    """Return what lets a service with a /tmp of its own see this checkout; where that is not in /tmp, nothing."""
    inside = any(ROOT.is_relative_to(directory) for directory in ("/tmp", "/var/tmp"))
    return f'[Service]\nBindReadOnlyPaths="{ROOT}"\n' if inside else ""


def free_port() -> int:
    """Return a port that nobody listens on just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@cache
def _empty_ledger() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "ledger.sqlite3"
        job = json.dumps({"job": "prepare", "file": str(file)}).encode()
        subprocess.run(
            [sys.executable, "-m", "claude_gatewayd.ledger.maintenance"], input=job, check=True, capture_output=True
        )
        return file.read_bytes()


class Daemon:
    """`claude-gatewayd` in a process of its own, and `claude-gatewayctl` for it.

    Its configuration is *config* (TOML) and *environ*; its socket is its own, or *inherited* as systemd would pass it.
    *has_ledger*: it finds an empty ledger, as after its first start, and need not take half a second to make one.
    """

    running: ClassVar[list["Daemon"]] = []  # from their start until they have been closed
    at_end: ClassVar[list[Callable[["Daemon"], None]]] = []  # what looks at the files of one before they are removed

    def __init__(
        self,
        *,
        upstream: str = "http://127.0.0.1:9",
        config: str = "",
        environ: Mapping[str, str] | None = None,
        inherited: socket.socket | None = None,
        stdin: int | None = subprocess.DEVNULL,
        executable: Path = BIN / "claude-gatewayd",
        has_ledger: bool = True,
    ) -> None:
        self._directory = short_directory("d-")
        self.home = Path(self._directory.name)
        self.runtime = self.home / "r"
        self.runtime.mkdir(mode=0o700)
        self.config_file = self.home / "c" / "claude-gateway" / "config.toml"
        self.config_file.parent.mkdir(parents=True)
        if config:
            self.config_file.write_text(config)
        self.log_file = self.home / "log"
        self.inherited = inherited
        self.port: int = inherited.getsockname()[1] if inherited is not None else free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environ = {
            **{name: os.environ[name] for name in ("PATH", "LANG", "TERM") if name in os.environ},
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / "c"),
            "XDG_STATE_HOME": str(self.home / "s"),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "CLAUDE_GATEWAY_ANTHROPIC_BASE_URL": upstream,
            "CLAUDE_GATEWAY_LISTEN_PORT": str(self.port),
            "CLAUDE_GATEWAY_NOTIFY_ENABLED": "false",  # a desktop is no place for what tests make up
            "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9",  # no daemon of ours asks AWS whose invented keys are
            "AWS_ENDPOINT_URL_BEDROCK": "http://127.0.0.1:9",
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://127.0.0.1:9",  # nor looks whether it could reach Bedrock
            **(environ or {}),
        }
        self._has_ledger = has_ledger
        self._stdin = stdin
        self._executable = executable
        self.process: subprocess.Popen[bytes] | None = None

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the process, and wait for nothing."""
        if self._has_ledger and not (ledger := paths.ledger_file(self.environ)).exists():
            ledger.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            ledger.touch(0o600)
            ledger.write_bytes(_empty_ledger())
        if self not in self.running:
            self.running.append(self)
        command = [str(self._executable)]
        environ = dict(self.environ)
        descriptors: tuple[int, ...] = ()
        if self.inherited is not None:
            # systemd passes sockets from 3 on, to the very process that LISTEN_PID names
            script = (
                "import os,sys; fd=int(sys.argv[1]); os.dup2(fd, 3); "
                "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='http'); "
                "os.execv(sys.argv[2], sys.argv[2:])"
            )
            command = [sys.executable, "-c", script, str(self.inherited.fileno()), *command]
            descriptors = (self.inherited.fileno(),)
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=environ, stdin=self._stdin, stdout=log, stderr=log, pass_fds=descriptors, cwd=self.home
            )
        return self.process

    def __enter__(self) -> Self:
        self.spawn()
        try:
            self.wait_serving()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print(f"--- the daemon's log ---\n{self.log}")
        self.close()

    def wait_serving(self, seconds: float = PATIENCE) -> None:
        """Return when a connection is answered."""

        def has_ended() -> bool:
            return self.process is not None and self.process.poll() is not None

        wait_until(lambda: self.answers() or has_ended(), seconds, self.describe)
        assert not has_ended(), self.describe()

    def answers(self) -> bool:
        """Say whether a connection is answered."""
        try:
            # long, for tests count what is asked: a slow answer is better waited for than asked for again
            with socket.create_connection(("127.0.0.1", self.port), timeout=20) as sock:
                sock.sendall(b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return sock.recv(16).startswith(b"HTTP/1.1")
        except OSError:
            return False

    def describe(self) -> str:
        """Return what a failing test wants to know."""
        return f"daemon {self.process and self.process.poll()}, log:\n{self.log}"

    @property
    def log(self) -> str:
        """What it has printed and logged."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        assert self.process is not None
        return self.process.pid

    def ctl(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run `claude-gatewayctl`."""
        return subprocess.run(
            [str(BIN / "claude-gatewayctl"), *arguments],
            env=self.environ, capture_output=True, text=True, timeout=timeout, check=False, cwd=self.home,
        )  # fmt: skip

    def status(self) -> dict[str, Any]:
        """Return its state. Asked at its control socket: a ctl takes 0.1 s of CPU, and `wait_until` asks often."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            try:
                sock.connect(str(paths.runtime_dirs(self.environ)[0] / paths.SOCKET_NAME))
            except OSError as error:
                raise AssertionError(f"{error}\n{self.describe()}") from None
            sock.sendall(wire.encode({"command": "status"}))
            with sock.makefile("rb") as answer:
                reply = wire.decode(answer.readline())
        assert "result" in reply, reply
        state: dict[str, Any] = reply["result"]
        return state

    def status_printed(self) -> dict[str, Any]:
        """Return what `status --json` prints: the same, and whether who listens is the person's own daemon."""
        done = self.ctl("status", "--json")
        assert done.returncode == 0, done.stderr
        printed: dict[str, Any] = json.loads(done.stdout)
        return printed

    @property
    def key(self) -> str:
        """The gateway key."""
        return self.ctl("key").stdout.strip()

    def generation(self) -> dict[str, Any]:
        """Return the generation that serves."""
        return next(g for g in self.status()["generations"] if g["state"] == "serving")

    def workers(self) -> list[int]:
        """Return the process ids of its workers, also of those whose supervisor is gone."""
        return [pid for pid, command in processes_of(self.home) if "claude_gatewayd.worker" in command]

    def signal(self, number: int) -> None:
        """Send a signal to the supervisor."""
        os.kill(self.pid, number)

    def kill(self, pid: int, number: int = SIGKILL) -> None:
        """Send a signal to one of its workers."""
        assert pid in self.workers()
        os.kill(pid, number)

    def wait(self, seconds: float = PATIENCE) -> int:
        """Wait for the end of the process; return its exit status."""
        assert self.process is not None
        return self.process.wait(seconds)

    def close(self) -> None:
        """End the process, if need be, and remove its directories."""
        if self.process is not None:
            # the second one ends what is in progress
            for number, seconds in ((signal.SIGTERM, 3.0), (signal.SIGTERM, 20.0), (signal.SIGKILL, PATIENCE)):
                if self.process.poll() is not None:
                    break
                self.process.send_signal(number)
                try:
                    self.process.wait(seconds)
                except subprocess.TimeoutExpired:
                    continue
            if self in self.running:  # some are closed twice
                self.running.remove(self)
        self._kill_what_is_left()  # one in the background has no process of ours, and `stop` returns before its end
        try:
            for look in self.at_end:
                look(self)
        finally:
            self._directory.cleanup()

    def _kill_what_is_left(self) -> None:
        """Kill its workers and their children, and return when they are gone: one may still write to a file."""

        def left() -> list[int]:
            return [pid for pid, command in processes_of(self.home) if "claude_gatewayd" in command]

        for pid in left():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_until(lambda: not left(), describe=lambda: processes_of(self.home))


def wait_for_the_end_of_all(home: Path) -> None:
    """Return when no process has this home: only then can it be removed, for one that ends may write to it."""
    wait_until(lambda: not processes_of(home), describe=lambda: processes_of(home))


def children(pid: int) -> list[int]:
    """Return the process ids of a process's children."""
    done = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
    rows = (line.split() for line in done.stdout.splitlines())
    return [int(child) for child, parent in rows if int(parent) == pid]


def processes_of(home: Path) -> list[tuple[int, str]]:
    """Return the processes whose environment has this home directory, with their command lines."""
    wanted = f"HOME={home}"
    if not Path("/proc/self/environ").exists():
        done = subprocess.run(["ps", "-wwEAo", "pid=,command="], capture_output=True, text=True, check=True)
        rows = (line.strip().partition(" ") for line in done.stdout.splitlines())
        return [(int(pid), command) for pid, _, command in rows if f" {wanted} " in f"{command} "]
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if os.fsencode(wanted) in (process / "environ").read_bytes().split(b"\0"):
                    found.append((int(process.name), (process / "cmdline").read_text().replace("\0", " ")))
            except OSError:
                continue  # gone, or another user's
    return found


def wait_until(condition: Any, seconds: float = PATIENCE, describe: Any = None) -> None:
    """Wait until *condition* holds. For what no event tells: the state of another process.

    It takes as long as the machine lets it: who claims that something is quick measures it.
    """
    begun = time.monotonic()
    while not condition():
        waited = time.monotonic() - begun
        if waited > seconds:
            raise AssertionError(f"it did not come about in {seconds:g} s: {describe() if describe else condition}")
        time.sleep(max(0.02, waited / 50))  # a condition may start a program: for a minute, that is a core's work
