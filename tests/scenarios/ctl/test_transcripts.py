"""What a person sees: each `*.transcript` here is a session in a shell, held against the real programs.

    $ claude-gatewayctl health          a line for the shell
    healthy                             its standard output, in full
    ! and this on standard error
    == exit 1                           its exit status, where it is not 0

Empty lines are for the eye, and are not compared.
A placeholder stands for what differs: <pid>, <n> (a number), <time> (a duration), <port>, <path>, <ctl> and <python>
(the programs, quoted where a shell needs it), <key>, <version>, <...> (the rest of the line). A line that begins with
# is a comment. The first word of a file's name is its scene.
"""

import re
import shlex
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.aws import FakeAws
from tests.fakes.aws_home import AwsHome
from tests.scenarios.ctl import used
from tests.support.calls import post
from tests.support.daemon import BIN, Daemon, wait_until
from tests.support.scripts import browser

FILES = sorted(Path(__file__).parent.glob("*.transcript"))
SLOW = {"approving"}  # an SDK is loaded for each of its lines

PLACEHOLDERS = {
    "<pid>": r"[1-9][0-9]*",
    "<n>": r"[0-9]+(\.[0-9]+)?",
    "<time>": r"([0-9]+ (s|min|h|d))( [0-9]+ (s|min|h))?",
    "<port>": r"[0-9]{4,5}",
    "<path>": rf"('/[^':]+'|{re.escape(str(BIN))}/[^ :]+|/[^ :]+)",  # quoted where it has a blank
    "<ctl>": re.escape(shlex.quote(f"{BIN}/claude-gatewayctl")),
    "<python>": rf"('{re.escape(str(BIN))}/python[0-9.]*'|{re.escape(str(BIN))}/python[0-9.]*)",
    "<key>": r"cgw-[A-Za-z0-9_-]{43}",
    "<version>": r"[0-9]+\.[0-9]+\.[0-9]+\S*",
    "<...>": r".*",
}

BROKEN = '[listen]\nprot = 47001\ndrain_timeout = "soon"\n'


@dataclass
class Step:
    """A line for the shell, and what it must come to."""

    line: int
    command: str
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    status: int = 0


def steps_of(file: Path) -> list[Step]:
    steps: list[Step] = []
    for number, text in enumerate(file.read_text().splitlines(), 1):
        if text.startswith("$ "):
            steps.append(Step(number, text[2:]))
        elif text.startswith("== exit "):
            steps[-1].status = int(text.removeprefix("== exit "))
        elif text.startswith("! "):
            steps[-1].err.append(text[2:])
        elif steps and text and not text.startswith("#"):
            steps[-1].out.append(text)
    assert steps
    return steps


@contextmanager
def scene(name: str, fake: FakeAnthropic) -> Iterator[Daemon]:
    """Yield a daemon in the state that a scene is about."""
    if name == "down":
        daemon = Daemon(upstream=fake.url)
        try:
            yield daemon
        finally:
            daemon.close()
    elif name == "used":  # a daemon has run, and does no longer
        daemon = Daemon(upstream=fake.url, environ={"TZ": "Europe/Berlin"})
        try:
            used.make(daemon.home / "s" / "claude-gateway" / "ledger.sqlite3")
            yield daemon
        finally:
            daemon.close()
    elif name == "running":
        with Daemon(upstream=fake.url) as daemon:
            wait_until(lambda: daemon.status()["requests"] == {"200": 1})  # that of `wait_serving`
            yield daemon
    elif name == "failing":
        with Daemon(upstream=fake.url, config="[router]\nnum_retries = 0\n") as daemon:
            fake.fail_next(529)
            assert post(daemon.port)[0] == 529
            wait_until(lambda: daemon.status()["anthropic"]["state"] == "failing")
            yield daemon
    elif name == "refusing":
        # a manager that nobody listens for: to tell it fails, and nothing else does
        with Daemon(upstream=fake.url, config=BROKEN, environ={"NOTIFY_SOCKET": "/nonexistent"}) as daemon:
            yield daemon
    elif name in ("approving", "denying", "ignoring"):
        with logging_in(name) as daemon:
            yield daemon
    else:
        raise AssertionError(f"no scene {name}")


@contextmanager
def logging_in(name: str) -> Iterator[Daemon]:
    """Yield a daemon that does not run, for a person with profiles of AWS, and a browser in which they do as named."""
    with FakeAws() as aws:
        environ = {**aws.environ, "BROWSER": browser(), "PYTHONPATH": str(Path(__file__).parents[3])}
        daemon = Daemon(environ=environ)
        try:
            home = AwsHome(daemon.home, aws)
            home.sso_session()
            home.sso_profile("Sandbox.AdministratorAccess")
            home.chain_profile("chain", "Sandbox.AdministratorAccess")
            home.legacy_profile("legacy")
            home.section("profile contradicting", "sso_session = corp", "sso_region = eu-north-1")
            home.section("profile static", "aws_access_key_id = AKIAX", "aws_secret_access_key = x")
            aws.user("approves" if name == "approving" else "denies" if name == "denying" else "ignores")
            aws.lives.device_code = 2 if name == "ignoring" else 600
            aws.state.device_polls = 0
            yield daemon
            assert aws.violations == []
            assert not list(home.cache.glob("*.tmp"))
        finally:
            daemon.close()


def differences(expected: list[str], got: str) -> str:
    """Return both texts where they differ, or nothing."""

    def pattern(line: str) -> str:
        parts = re.split(r"(<[a-z.]+>)", line)
        return "".join(PLACEHOLDERS.get(part, re.escape(part)) for part in parts)

    lines = [line for line in got.splitlines() if line]
    same = len(lines) == len(expected) and all(
        re.fullmatch(pattern(want), line) for want, line in zip(expected, lines, strict=True)
    )
    return "" if same else "expected:\n" + "\n".join(expected) + "\ngot:\n" + got


@pytest.fixture
def fake() -> Iterator[FakeAnthropic]:
    with FakeAnthropic() as fake:
        yield fake


@pytest.mark.parametrize(
    "file",
    [pytest.param(file, marks=[pytest.mark.slow] if file.stem in SLOW else [], id=file.stem) for file in FILES],
)
def test_transcript(file: Path, fake: FakeAnthropic) -> None:
    with scene(file.stem.split("-")[0], fake) as daemon:
        if daemon.process is not None:
            # a shell or a service manager takes note of its child's end; a process that is not waited for stays
            threading.Thread(target=daemon.process.wait, daemon=True).start()
        environ = {**daemon.environ, "PATH": f"{BIN}:{daemon.environ['PATH']}", "CONFIG": str(daemon.config_file)}
        for step in steps_of(file):
            done = subprocess.run(
                ["/bin/sh", "-c", step.command],
                env=environ, capture_output=True, text=True, timeout=60, check=False, cwd=daemon.home,
            )  # fmt: skip
            place = f"{file.name}:{step.line}: $ {step.command}\n"
            wrong = differences(step.out, done.stdout)
            assert not wrong, f"{place}standard output {wrong}\nstandard error:\n{done.stderr}"
            wrong = differences(step.err, done.stderr)
            assert not wrong, f"{place}standard error {wrong}"
            assert done.returncode == step.status, place
