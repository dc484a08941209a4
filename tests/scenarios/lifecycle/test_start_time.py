"""How much a start works before its first answer."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.support.calls import post
from tests.support.daemon import Daemon

STARTS = 6
MOST = 32  # bare starts of Python: 22 on a busy machine, and it is fewer on one at rest
MOST_DATACLASSES = 23  # what each request reads is read faster from one; 21 when this was written
# Whatever of these the first process imports before it starts the worker delays the first answer.
LATER = {
    "asyncio", "argparse", "tempfile", "tomllib", "ssl", "dataclasses", "inspect",
    "claude_gatewayd.supervisor.supervisor", "claude_gatewayd.service.environment",
}  # fmt: skip
# Nor does a worker need these before its first answer, where no AWS profile says so.
NOT_AT_START = {
    "argparse", "configparser", "difflib", "shutil", "tempfile", "tomllib", "email", "html", "botocore", "sqlite3",
    "psycopg", "sqlalchemy", "litellm", "typing_extensions",
    "claude_gatewayd.aws.sso.oidc", "claude_gatewayd.aws.sources.sso_role", "claude_gatewayd.worker.engine.app",
    "claude_gatewayd.worker.cluster",
}  # fmt: skip
# Its imports, what it reads on a machine without AWS, and the part of its first report that looks for something.
AT_START = """
import asyncio, claude_gatewayd.worker.__main__
claude_gatewayd.worker.__main__._load_msgspec()
import claude_gatewayd.worker.process
from claude_gatewayd.aws.profiles.source import find_source
from claude_gatewayd.network.egress import Egress
from claude_gatewayd.worker.engine import Engine, EngineSettings

async def report():
    Engine(EngineSettings(None, "", "", "", "", Egress({})), None, None).snapshot()

find_source({"HOME": "/nowhere", "AWS_EC2_METADATA_DISABLED": "true"}, "")
asyncio.run(report())
"""


def bare() -> float:
    """Return the seconds of CPU time that a Python takes which does nothing."""
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime


def worked(pid: int) -> float:
    """Return the seconds of CPU time of a process's first thread so far."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="it reads CPU times in /proc")
def test_a_start_is_as_much_work_as_some_bare_starts_of_python(fake: FakeAnthropic) -> None:
    """Work, and not time: beside other tests each start takes longer than alone."""
    took: list[tuple[float, float]] = []
    for _ in range(STARTS):
        python = bare()
        with Daemon(upstream=fake.url) as daemon:
            assert post(daemon.port)[0] == 200
            took.append((python, sum(worked(pid) for pid in (daemon.pid, *daemon.workers()))))
    python, ours = (min(column) for column in zip(*took, strict=True))
    print(f"\npython {1e3 * python:.1f} ms of a core, a start {1e3 * ours:.0f} ms: {ours / python:.1f} x")
    assert ours <= MOST * python


def loaded_by(program: str) -> set[str]:
    """Return all modules that are there after a program."""
    code = f"import json, sys\n{program}\njson.dump(sorted(sys.modules), sys.stdout)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stdout))


def test_a_worker_loads_nothing_for_later() -> None:
    loaded = loaded_by(AT_START)
    assert "claude_gatewayd.worker.assembly" in loaded
    assert loaded.isdisjoint(NOT_AT_START), loaded & NOT_AT_START


def test_a_worker_makes_few_dataclasses() -> None:
    """A NamedTuple is made in 0.08 ms, a frozen dataclass in 0.57, and 33 more of them took 16 of a start's 200."""
    program = (
        "import dataclasses\nmake, made = dataclasses._process_class, []\n"
        "dataclasses._process_class = lambda cls, *how: made.append(cls.__qualname__) or make(cls, *how)\n"
        "import claude_gatewayd.worker.process\nprint(*sorted(made), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys\n{program}"], capture_output=True, text=True, check=True
    )
    made = done.stderr.split()
    assert "Origin" in made
    assert len(made) <= MOST_DATACLASSES, made


def test_the_worker_is_started_before_the_rest_of_the_supervisor_loads() -> None:
    loaded = loaded_by("import claude_gatewayd.supervisor.main")
    assert "claude_gatewayd.supervisor.workers.launch" in loaded
    assert loaded.isdisjoint(LATER), loaded & LATER
