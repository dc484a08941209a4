"""A real PostgreSQL, Debian's, with a data directory and a port of its own. It listens on one address only."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from tests.support.daemon import free_port
from tests.support.leftovers import VARIABLE
from tests.support.other_user import NOBODY

INSTALL = "PostgreSQL is not installed: apt-get install postgresql"
_UP_WITHIN = 30.0
_SETTINGS = {
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "log_statement": "none",
}


def programs() -> Path | None:
    """Return the directory of PostgreSQL's programs, the newest of Debian's, or None where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda program: int(program.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(os.path.realpath(on_path)).parent if on_path else None


class PostgresServer:
    """One cluster; it can be stopped and started again on its port. As root it runs as nobody: it refuses root.

    Another *address* than this machine's own is one of a network whose machines may all connect.
    """

    def __init__(self, programs: Path, address: str = "127.0.0.1") -> None:
        self._programs = programs
        self._address = address
        self._directory = tempfile.TemporaryDirectory(prefix="pg-", dir=os.environ.get(VARIABLE, "/tmp"))
        self._place = Path(self._directory.name)
        self._process: subprocess.Popen[bytes] | None = None
        self._password = secrets.token_hex(8)
        self.port = free_port()

    def __enter__(self) -> Self:
        try:
            self._initialize()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.resume()
        self.stop()
        self._directory.cleanup()

    @property
    def url(self) -> str:
        """The URL of the superuser's own database."""
        return self._url("postgres", self._password, "postgres")

    @property
    def pid(self) -> int:
        """The server's first process, the parent of all others."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What the server has logged."""
        return (self._place / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start it on its port, and wait until it answers."""
        assert self._process is None, "it is running"
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        with (self._place / "log").open("ab") as log:
            self._process = self._run([self._programs / "postgres", "-D", self._data, *settings], log)
        deadline = time.monotonic() + _UP_WITHIN
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None, self.log
                assert time.monotonic() < deadline, self.log
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop it at once, as a crash would: every connection breaks, and what was not committed is lost."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGQUIT)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def restart(self) -> None:
        """Stop it at once, and start it again on the same port."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Let it hang: connections stay, are even accepted by the kernel, and nothing answers."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it continue."""
        self._signal_all(signal.SIGCONT)

    def be_as_before(self) -> None:
        """Run, whatever a test has done to it."""
        self.resume()
        if self._process is not None and self._process.poll() is not None:
            self._process = None
        if self._process is None:
            self.start()

    def new_database(self, *, may_create_schema: bool = True) -> str:
        """Create a database and a user of its own, its owner unless it may not create schemas; return their URL."""
        name, password = f"db_{secrets.token_hex(4)}", secrets.token_hex(8)
        with psycopg.connect(self.url, autocommit=True) as admin:
            user = sql.Identifier(name)
            admin.execute(sql.SQL("CREATE USER {} PASSWORD {}").format(user, sql.Literal(password)))
            owner = user if may_create_schema else sql.Identifier("postgres")
            admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(user, owner))
        return self._url(name, password, name)

    def as_admin(self, url: str) -> str:
        """Return the URL of the same database for the superuser."""
        return self._url("postgres", self._password, urlsplit(url).path.strip("/"))

    def execute(self, url: str, statement: str) -> list[tuple[object, ...]]:
        """Run a statement on a database as the superuser, and return its rows."""
        writable = "-c default_transaction_read_only=off"
        with psycopg.connect(self.as_admin(url), autocommit=True, options=writable) as admin:
            result = admin.execute(statement.encode())
            return result.fetchall() if result.description else []

    def make_read_only(self, url: str) -> None:
        """Refuse writes to a database, as a standby does. Connections that are open are ended."""
        self._set_read_only(url, "on")

    def make_writable(self, url: str) -> None:
        """Accept writes again."""
        self._set_read_only(url, "off")

    def disconnect(self, url: str) -> None:
        """End the connections of a database, as an administrator does."""
        name = urlsplit(url).path.strip("/")
        ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        with psycopg.connect(self.url, autocommit=True) as admin:
            admin.execute(ours, (name,))

    def _set_read_only(self, url: str, on_or_off: str) -> None:
        name = urlsplit(url).path.strip("/")
        self.execute(url, f'ALTER DATABASE "{name}" SET default_transaction_read_only = {on_or_off}')
        self.disconnect(url)

    @property
    def _settings(self) -> dict[str, str]:
        return {**_SETTINGS, "listen_addresses": self._address, "port": str(self.port)}

    @property
    def _data(self) -> Path:
        return self._place / "data"

    def _url(self, user: str, password: str, database: str) -> str:
        return f"postgresql://{user}:{password}@{self._address}:{self.port}/{database}"

    def _initialize(self) -> None:
        if os.getuid() == 0:  # it has to reach its directory; names there are known to nobody else
            os.chown(self._place, NOBODY, NOBODY)
            os.chmod(self._place.parent, os.stat(self._place.parent).st_mode | 0o011)
        password = self._place / "password"
        password.write_text(self._password)
        arguments = ["-D", self._data, "-U", "postgres", "--auth=scram-sha-256", f"--pwfile={password}"]
        more = ["--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        with (self._place / "log").open("ab") as log:
            assert self._run([self._programs / "initdb", *arguments, *more], log).wait(60) == 0, self.log
        if self._address != "127.0.0.1":
            with (self._data / "pg_hba.conf").open("a") as rules:
                rules.write("host all all samenet scram-sha-256\n")

    def _run(self, command: Sequence[object], log: IO[bytes]) -> subprocess.Popen[bytes]:
        user = NOBODY if os.getuid() == 0 else None
        return subprocess.Popen(
            list(map(str, command)), cwd=self._place, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            user=user, group=user, extra_groups=None if user is None else [],
        )  # fmt: skip

    def _signal_all(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        parent = self._process.pid
        children = subprocess.run(["pgrep", "-P", str(parent)], capture_output=True, text=True).stdout.split()
        for pid in [parent, *map(int, children)]:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
