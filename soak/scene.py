"""What is soaked: a daemon among stand-ins for Anthropic, AWS and Bedrock, with a database; and what disturbs it."""

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from bench import processes
from tests.fakes.aws import FakeAws
from tests.fakes.aws_home import AwsHome
from tests.fakes.bedrock import FakeBedrock
from tests.support import postgres
from tests.support.daemon import Daemon, free_port, wait_until
from tests.support.postgres import PostgresServer

from claude_gatewayd import paths
from claude_gatewayd.ledger import sqlite_files
from soak import figures, ledger_rows
from soak.ledger_rows import Rows

ROOT: Final = Path(__file__).parents[1]
CONNECTIONS: Final = 500
_KEYS_LIVE: Final = 60.0
_AWAY: Final = 4.0  # seconds without the database: the second attempt that fails is logged
_CONFIG: Final = """
[bedrock]
profile = "x"
through = "direct"
[router]
num_retries = 0
cooldown_time = 5
"""


@dataclass
class Soaked:
    """A daemon, and all that it stands among."""

    daemon: Daemon
    aws: FakeAws
    bedrock: FakeBedrock
    database: PostgresServer | None
    ledger: str  # its URL
    anthropic: "subprocess.Popen[bytes]"
    upstreams: tuple[int, int]  # their ports
    key: str
    secrets: list[str]
    done: Counter[str] = field(default_factory=Counter)  # of what comes and goes
    failures: list[str] = field(default_factory=list)
    most_open: int = 0  # connections at once

    def reload(self) -> None:
        """Have a new generation take over."""
        self._ctl("reload")
        self.done["reloads"] += 1

    def log_in(self) -> None:
        """End the login, and log in again."""
        self.aws.revoke_session()
        self._ctl("sso-login", "--device-code", "--profile", "x")
        self.done["log-ins"] += 1

    def restart_database(self) -> None:
        """Have the ledger's database crash, and start again."""
        if self.database is not None:
            self.database.stop()
            time.sleep(_AWAY)
            self.database.start()
            self.done["restarts of the database"] += 1

    def look(self) -> None:
        """Look at the daemon as people do, and let the fakes forget."""
        self.daemon.status()
        self.most_open = max(self.most_open, figures.connections_to((self.daemon.port,)))
        self.bedrock.requests.clear()
        self.done["renewals of the keys"] += self.aws.count("GetRoleCredentials")
        self.aws.forget_calls()

    @property
    def waiting(self) -> int:
        """How many bytes of rows wait in files: also those that an older generation has left."""
        directory = paths.ledger_spill_dir(self.daemon.environ)
        return sum(file.stat().st_size for file in directory.glob("*")) if directory.exists() else 0

    def rows(self) -> Rows:
        """Read the ledger."""
        if self.database is not None:
            database = self.database
            return ledger_rows.read(lambda statement: database.execute(self.ledger, statement), "claude_gateway.")
        file = paths.ledger_file(self.daemon.environ)
        with closing(sqlite_files.connect_read_only(file, 30.0)) as connection:
            return ledger_rows.read(lambda statement: connection.execute(statement).fetchall(), "")

    def until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until a condition holds, and disturb nobody by looking."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.daemon.describe()
            time.sleep(0.5)

    def cpu(self) -> dict[str, float]:
        """Return the seconds of CPU that each of those who take part has taken so far, but for the clients."""
        return {
            "the daemon": processes.cpu_of_family(self.daemon.pid),
            "Anthropic": processes.cpu_of_family(self.anthropic.pid),
            "AWS, Bedrock and who looks": time.process_time(),
        }

    def _ctl(self, *arguments: str) -> None:
        done = self.daemon.ctl(*arguments, timeout=60)
        if done.returncode:
            self.failures.append(f"{' '.join(arguments)}: {done.stderr.strip()[-300:]}")


class Every:
    """Do something again and again, in a thread, until the end."""

    def __init__(self, seconds: float, work: Callable[[], None]) -> None:
        self._seconds = seconds
        self._work = work
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            due = time.monotonic() + self._seconds
            while not self._over.wait(max(0.0, due - time.monotonic())):
                self._work()
                due = max(due + self._seconds, time.monotonic())
        except BaseException as error:  # of the thread's, for who waits for it
            self.error = error


@contextmanager
def soaked() -> Iterator[Soaked]:
    """Yield a daemon with a person logged in at AWS, and a ledger in PostgreSQL if that is installed."""
    with ExitStack() as stack:
        port = free_port()
        anthropic = subprocess.Popen([sys.executable, "-m", "soak.upstream", str(port)], cwd=ROOT)
        stack.callback(anthropic.wait)
        stack.callback(anthropic.terminate)
        aws = stack.enter_context(FakeAws())
        bedrock = stack.enter_context(FakeBedrock(issued=aws.keys, region=aws.region))
        programs = postgres.programs()
        database = stack.enter_context(PostgresServer(programs)) if programs is not None else None
        url = database.new_database() if database is not None else ""
        environ = {
            **aws.environ,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock.url,
            "AWS_REGION": aws.region,
            "PYTHONPATH": str(ROOT / "soak" / "inside"),
        }
        config = _CONFIG + (f'[ledger]\nurl = "{url}"\n' if url else "")
        daemon = Daemon(upstream=f"http://127.0.0.1:{port}", config=config, environ=environ)
        home = AwsHome(daemon.home, aws)
        home.sso_session()
        home.sso_profile("x")
        home.log_in()
        aws.lives.keys = _KEYS_LIVE
        with daemon:
            key = daemon.ctl("key").stdout.strip()
            password = [url.split(":")[2].partition("@")[0]] if url else []
            secrets = [key, "sk-ant-oat01-SOAK", *password]
            wait_until(lambda: daemon.status()["ledger"]["state"] == "ok", 30, daemon.describe)
            yield Soaked(daemon, aws, bedrock, database, url, anthropic, (port, bedrock.port), key, secrets)
