"""Soak a daemon: all kinds of requests at once while its configuration, keys, logins and database come and go.

`python -m soak.run [DURATION]`, such as 90s, 10m or 1h; everything stays on 127.0.0.1. It needs Linux, as it reads
/proc, and takes PostgreSQL for the ledger where that is installed.
"""

import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from tests.fakes.aws import FakeAws
from tests.fakes.aws_home import AwsHome
from tests.fakes.bedrock import FakeBedrock
from tests.support import postgres
from tests.support.daemon import Daemon, free_port, wait_until
from tests.support.postgres import PostgresServer

from soak import figures
from soak.clients import Found
from soak.figures import Figures, Row

ROOT: Final = Path(__file__).parents[1]
RATE: Final = 1_000_000 / 600  # requests a second: a million in the usual ten minutes
CONNECTIONS: Final = 500
_KEYS_LIVE: Final = 60.0
_MOST_BAD: Final = 0.01  # of the requests: on a busy machine some time out
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
    upstreams: tuple[int, int]  # their ports
    key: str
    secrets: list[str]
    done: dict[str, int] = field(default_factory=dict)  # of what comes and goes
    failures: list[str] = field(default_factory=list)

    def reload(self) -> None:
        """Have a new generation take over."""
        self._ctl("reload")
        self._count("reloads")

    def log_in(self) -> None:
        """End the login, and log in again."""
        self.aws.revoke_session()
        self._ctl("sso-login", "--device-code", "--profile", "x")
        self._count("log-ins")

    def restart_database(self) -> None:
        """Have the ledger's database crash, and start again."""
        if self.database is not None:
            self.database.stop()
            time.sleep(_AWAY)
            self.database.start()
            self._count("restarts of the database")

    def look(self) -> None:
        """Look at the daemon as people do, and let the fakes forget."""
        self.daemon.status()
        self.bedrock.requests.clear()
        self.aws.forget_calls()

    def _ctl(self, *arguments: str) -> None:
        done = self.daemon.ctl(*arguments, timeout=60)
        if done.returncode:
            self.failures.append(f"{' '.join(arguments)}: {done.stderr.strip()[-300:]}")

    def _count(self, what: str) -> None:
        self.done[what] = self.done.get(what, 0) + 1


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
            while not self._over.wait(self._seconds):
                self._work()
        except BaseException as error:  # of the thread's, for who waits for it
            self.error = error


@contextmanager
def soaked() -> Iterator[Soaked]:
    """Yield a daemon with a person logged in at AWS, and a ledger in PostgreSQL if that is installed."""
    with ExitStack() as stack:
        port = free_port()
        upstream = subprocess.Popen([sys.executable, "-m", "soak.upstream", str(port)], cwd=ROOT)
        stack.callback(upstream.wait)
        stack.callback(upstream.terminate)
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
            yield Soaked(daemon, aws, bedrock, database, url, (port, bedrock.port), key, secrets)


def ask(scene: Soaked, seconds: float, rate: float) -> Found:
    """Have the clients ask for so long; return what they found."""
    arguments = [str(scene.daemon.port), scene.key, str(CONNECTIONS), str(rate), str(seconds)]
    done = subprocess.run(
        ["nice", "-n", "10", sys.executable, "-m", "soak.clients", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=seconds + 120, check=False,
    )  # fmt: skip
    if done.returncode:
        raise OSError(f"the clients ended with {done.returncode}: {done.stderr[-600:]}")
    return Found(**json.loads(done.stdout))


def measure(scene: Soaked) -> Figures:
    """Wait until the daemon rests, and measure it."""
    daemon = scene.daemon

    def rests() -> bool:
        generations, ledger = daemon.status()["generations"], daemon.status()["ledger"]
        return len(generations) == 1 and generations[0]["at_rest"] and not ledger["waiting"] and not ledger["spilled"]

    wait_until(rests, 120, daemon.describe)
    (worker,) = daemon.workers()
    wait_until(lambda: not figures.connections_to(scene.upstreams), 60, daemon.describe)  # they are kept for 45 s
    request = urllib.request.Request(f"{daemon.url}/metrics", headers={"x-gateway-key": scene.key})
    with urllib.request.urlopen(request, timeout=20) as answer:
        series = answer.read().count(b"\n")
    return Figures(
        figures.process(daemon, daemon.pid),
        figures.process(daemon, worker),
        series,
        len(daemon.ctl("status", "--json").stdout),
    )


def judge(first: Figures, second: Figures, last: Figures) -> list[Row]:
    """Compare what was before, after a long time of one generation, and after many generations."""
    is_same = first.worker.pid == second.worker.pid  # where the machine is busy, another may have stood in
    return [
        *figures.compare("supervisor", first.supervisor, last.supervisor, has_callers=False),
        *figures.compare(
            "worker" if is_same else "worker that stood in", first.worker, second.worker, has_callers=True
        ),
        *figures.compare("worker after reloads", first.worker, last.worker, has_callers=True),
        Row(("lines of /metrics", str(second.series), str(last.series), "-", True)),
        Row(("bytes of the status", str(second.status), str(last.status), "-", True)),
    ]


@dataclass(frozen=True)
class Report:
    """What came of it: rows of figures, what the clients found, and what is wrong."""

    rows: list[Row]
    asked: list[Found]
    done: dict[str, int]
    log: dict[str, int]
    wrong: list[str]

    def __str__(self) -> str:
        good: dict[str, int] = {}
        for found in self.asked:
            for name, count in found.good.items():
                good[name] = good.get(name, 0) + count
        lines = [
            f"{sum(found.requests for found in self.asked):,} requests, {CONNECTIONS} connections, "
            f"{sum(found.bad for found in self.asked)} went wrong, {sum(found.resent for found in self.asked)} were "
            f"sent again, the slowest took {max(found.slowest for found in self.asked):.2f} s",
            *(f"  {count:9,} {name}" for name, count in sorted(good.items(), key=lambda entry: -entry[1])),
            *(f"  {count:9,} {name}" for name, count in self.done.items()),
            "",
            figures.table(self.rows),
            "",
            "the log:",
            *(f"  {count:6} {sentence}" for sentence, count in self.log.items()),
            "",
            *(f"went wrong: {sample}" for found in self.asked for sample in found.samples),
            *(f"WRONG: {what}" for what in self.wrong),
        ]
        return "\n".join(lines)


def soak(seconds: float, rate: float = RATE, reload_every: float = 30.0) -> Report:
    """Soak a daemon for so long, the waits for rest not counted."""
    with soaked() as scene, Every(5.0, scene.look):
        asked = [ask(scene, seconds * 0.15, rate)]
        first = measure(scene)
        with Every(reload_every * 2, scene.log_in), Every(reload_every * 1.5, scene.restart_database):
            asked.append(ask(scene, seconds * 0.35, rate))
        second = measure(scene)
        with (
            Every(reload_every, scene.reload),
            Every(reload_every * 2, scene.log_in),
            Every(reload_every * 1.5, scene.restart_database),
        ):
            asked.append(ask(scene, seconds * 0.5, rate))
        last = measure(scene)
        ledger = scene.daemon.status()["ledger"]
        if scene.database is not None:
            counted = "SELECT kind, status, COUNT(*) FROM claude_gateway.requests GROUP BY 1, 2 ORDER BY 3 DESC"
            rows_of = {
                f"{kind} {status}": int(str(count))
                for kind, status, count in scene.database.execute(scene.ledger, counted)
            }
            scene.done |= {f"rows in the ledger: {what}": count for what, count in rows_of.items()}
        log = scene.daemon.log
        rows = judge(first, second, last)
        wrong = [f"{row[0]} has grown from {row[1]} to {row[2]}" for row in rows if not row[4]]
        requests, bad = sum(found.requests for found in asked), sum(found.bad for found in asked)
        if bad > _MOST_BAD * requests:
            wrong.append(f"{bad} of {requests} requests went wrong")
        if scene.database is not None:
            wrong += miscounted(asked, sum(rows_of.values()))
        wrong += scene.failures
        wrong += ["a traceback is in the log"] if "Traceback" in log else []
        wrong += (
            ["a secret is in the log"] if any(secret in log for secret in [*scene.secrets, *scene.aws.secrets]) else []
        )
        wrong += [f"{ledger['dropped']} rows of the ledger are lost"] if ledger["dropped"] else []
        wrong += scene.bedrock.violations + scene.aws.violations
        found = figures.sentences(log)
        wrong += missing_lines(found, scene.done)
    return Report(rows, asked, scene.done, found, wrong)


def miscounted(asked: list[Found], rows: int) -> list[str]:
    """Return whether there is not a row for each request; a scrape of the metrics has none."""
    recorded = sum(found.requests - found.good.get("metrics", 0) for found in asked)
    unsure = sum(found.bad + found.resent for found in asked)  # they may not have come, or come twice
    few = 10  # by which it was found out whether the daemon serves
    if recorded - unsure <= rows <= recorded + unsure + few:
        return []
    return [f"the ledger has {rows} rows of {recorded} requests"]


def missing_lines(log: dict[str, int], done: dict[str, int]) -> list[str]:
    """Return what the log lacks, and what it has of faults."""
    wanted = {
        "serves after": done.get("reloads", 0) + 1,
        "drains": done.get("reloads", 0),
        "the ledger is written again": 1 if done.get("restarts of the database") else 0,
        "the circuit of": 1,
    }
    found = {part: sum(count for sentence, count in log.items() if part in sentence) for part in wanted}
    missing = [f"the log has {found[part]} times {part!r}, not {least}" for part, least in wanted.items()
               if found[part] < least]  # fmt: skip
    return missing + [sentence for sentence in log if sentence.startswith(("ERROR", "CRITICAL"))]


def seconds_of(duration: str) -> float:
    """Return a duration such as 90s, 10m or 1h in seconds. Raises ValueError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)", duration)
    if found is None:
        raise ValueError(f"cannot soak for {duration!r}: it is no duration such as 90s, 10m or 1h")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def main() -> int:
    """Soak, and print the report; return 1 if something is wrong."""
    try:
        seconds = seconds_of(sys.argv[1] if len(sys.argv) > 1 else "10m")
    except ValueError as error:
        sys.exit(str(error))
    if not Path("/proc/self/smaps_rollup").exists():
        sys.exit("cannot soak: it reads /proc, so Linux only")
    begun = time.monotonic()
    report = soak(seconds)
    print(f"{report}\ntook {time.monotonic() - begun:.0f} s")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
