"""A daemon whose AWS hangs begins, and ends, as if it did not."""

import os
import signal
from pathlib import Path

import pytest

from tests.fakes.aws import FakeAws
from tests.fakes.aws_home import AwsHome
from tests.support.daemon import Daemon, wait_until
from tests.support.stopwatch import Stopwatch

pytestmark = pytest.mark.slow

CONFIG = """
[bedrock]
profile = "x"
[litellm]
load = "lazy"
"""


def test_a_portal_that_hangs() -> None:
    with FakeAws() as aws:
        daemon = Daemon(config=CONFIG, environ=aws.environ)
        home = AwsHome(daemon.home, aws)
        home.sso_session()
        home.sso_profile("x")
        home.log_in()
        aws.portal_down("hangs")
        with daemon:
            aws.wait_for("GetRoleCredentials")
            assert ends_soon(daemon)


def test_a_credential_process_that_hangs() -> None:
    """It is ended with the daemon: nobody else would."""
    daemon = Daemon(config=CONFIG)
    program, pid = daemon.home / "keys", daemon.home / "pid"
    program.write_text(f"#!/bin/sh\necho $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 100\n")
    program.chmod(0o700)
    (daemon.home / ".aws").mkdir()
    (daemon.home / ".aws" / "config").write_text(f"[profile x]\ncredential_process = {program}\n")
    with daemon:
        wait_until(pid.exists)
        number = int(pid.read_text())
        assert ends_soon(daemon)
        wait_until(lambda: not runs(number))


def ends_soon(daemon: Daemon) -> bool:
    with Stopwatch() as watch:
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    assert "Traceback" not in daemon.log
    return watch.elapsed < 4 + watch.pace


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
