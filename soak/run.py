"""Soak a daemon: all kinds of requests at once while its configuration, keys, logins and database come and go.

`python -m soak.run [DURATION [REQUESTS]]`, such as 90s, 10m or 1h; it ends at either. Everything stays on 127.0.0.1.
It needs Linux, as it reads /proc, and takes PostgreSQL for the ledger where that is installed.
"""

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from soak import figures, ledger_rows, log_lines
from soak.clients import Found
from soak.figures import Figures, Row
from soak.report import Report
from soak.scene import CONNECTIONS, ROOT, Every, Soaked, soaked

DURATION: Final = "10m"
REQUESTS: Final = 1_000_000
_FASTER: Final = 1.2  # than the requests need that time: what is busy is slower
_MOST_BAD: Final = 0.01  # of the requests: on a busy machine some time out
_SECRET: Final = "a secret is in the log"


def ask(scene: Soaked, seconds: float, first: int, count: int) -> Found:
    """Have the clients make so many requests, numbered from *first* on, in so long; return what they found."""
    rate = count / seconds * _FASTER
    arguments = map(str, (scene.daemon.port, scene.key, CONNECTIONS, rate, seconds, first, count))
    done = subprocess.run(
        ["nice", "-n", "10", sys.executable, "-m", "soak.clients", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=seconds + 120, check=False,
    )  # fmt: skip
    if done.returncode:
        raise OSError(f"the clients ended with {done.returncode}: {done.stderr[-600:]}")
    return Found(**json.loads(done.stdout))


def measure(scene: Soaked) -> Figures:
    """Wait until the daemon rests and its ledger is written, and measure it."""
    daemon = scene.daemon

    def rests() -> bool:
        status = daemon.status()
        generations, ledger = status["generations"], status["ledger"]
        is_written = not ledger["waiting"] and not ledger["spilled"] and not scene.waiting
        return len(generations) == 1 and generations[0]["at_rest"] and is_written

    scene.until(rests, 600)
    (worker,) = daemon.workers()
    scene.until(lambda: not figures.connections_to(scene.upstreams), 60)  # they are kept for 45 s
    request = urllib.request.Request(f"{daemon.url}/metrics", headers={"x-gateway-key": scene.key})
    with urllib.request.urlopen(request, timeout=20) as answer:
        series = answer.read().count(b"\n")
    return Figures(
        figures.process(daemon, daemon.pid),
        figures.process(daemon, worker),
        series,
        len(daemon.ctl("status", "--json").stdout),
    )


def judge(first: Figures, second: Figures, last: Figures, *, is_busy: bool) -> list[Row]:
    """Compare what was before, after a long time of one generation, and after many generations."""
    is_same = first.worker.pid == second.worker.pid  # where the machine is busy, another may have stood in
    name = "worker" if is_same else "worker that stood in"
    return [
        *figures.compare("supervisor", first.supervisor, last.supervisor, has_callers=False, is_busy=is_busy),
        *figures.compare(name, first.worker, second.worker, has_callers=True, is_busy=is_busy),
        *figures.compare("worker after reloads", first.worker, last.worker, has_callers=True, is_busy=is_busy),
        Row(("lines of /metrics", str(second.series), str(last.series), "-", True)),
        Row(("bytes of the status", str(second.status), str(last.status), "-", True)),
    ]


def soak(seconds: float, requests: int = REQUESTS, reload_every: float = 30.0) -> Report:
    """Soak a daemon for so long, the waits for rest not counted, or until so many requests were made."""
    with soaked() as scene:
        asked: list[Found] = []
        cpu: dict[str, float] = defaultdict(float)

        def part(share: float, *works: Every) -> None:
            with ExitStack() as stack:
                for work in works:
                    stack.enter_context(work)
                sent = sum(found.sent for found in asked)
                before = scene.cpu()
                asked.append(ask(scene, seconds * share, sent, round(requests * share)))
                for who, used in scene.cpu().items():
                    cpu[who] += used - before[who]

        log_in = Every(reload_every * 2, scene.log_in), Every(reload_every * 2, scene.log_in)
        restart = (Every(reload_every * 1.5, scene.restart_database), Every(reload_every * 1.5, scene.restart_database))
        with Every(5.0, scene.look):
            part(0.15)
            first = measure(scene)
            part(0.35, log_in[0], restart[0])
            second = measure(scene)
            part(0.45, Every(reload_every, scene.reload), log_in[1], restart[1])
            part(0.05)  # the last generation has served, too
            last = measure(scene)
        ledger = scene.rows()
        dropped = scene.daemon.status()["ledger"]["dropped"]
        log = scene.daemon.log
        lines = log_lines.sentences(log)
        rows = judge(first, second, last, is_busy=log_lines.is_busy(lines))
        made, bad = sum(found.requests for found in asked), sum(found.bad for found in asked)
        wrong = [f"{row[0]} has grown from {row[1]} to {row[2]}" for row in rows if not row[4]]
        wrong += [f"{bad} of {made} requests went wrong"] if bad > _MOST_BAD * made else []
        wrong += [f"no table is called {name}" for name in figures.unknown(last.worker)]
        wrong += ledger_rows.miscounted(asked, ledger)
        wrong += [f"{dropped} rows of the ledger are lost"] if dropped else []
        wrong += scene.failures
        wrong += [_SECRET] if any(secret in log for secret in [*scene.secrets, *scene.aws.secrets]) else []
        wrong += scene.bedrock.violations + scene.aws.violations
        wrong += log_lines.faults(lines, scene.done)
    return Report(rows, asked, scene.done, scene.most_open, ledger.count, cpu, lines, wrong)


def seconds_of(duration: str) -> float:
    """Return a duration such as 90s, 10m or 1h in seconds. Raises ValueError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)", duration)
    if found is None:
        raise ValueError(f"cannot soak for {duration!r}: it is no duration such as 90s, 10m or 1h")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def requests_of(count: str) -> int:
    """Return a number of requests, such as 1000000. Raises ValueError."""
    if re.fullmatch(r"[1-9]\d{0,9}", count, re.ASCII) is None:
        raise ValueError(f"cannot make {count!r} requests: it is no number such as {REQUESTS}")
    return int(count)


def main() -> int:
    """Soak, and print the report; return 1 if something is wrong."""
    given = sys.argv[1:3]
    try:
        seconds = seconds_of(given[0] if given else DURATION)
        requests = requests_of(given[1]) if len(given) > 1 else REQUESTS
    except ValueError as error:
        sys.exit(str(error))
    if not Path("/proc/self/smaps_rollup").exists():
        sys.exit("cannot soak: it reads /proc, so Linux only")
    begun = time.monotonic()
    report = soak(seconds, requests)
    print(f"{report}\ntook {time.monotonic() - begun:.0f} s")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
