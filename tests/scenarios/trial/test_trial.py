"""A minute and a half of `make team-trial`: three gateways behind nginx, while they, the database and nginx restart."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from trial import sandbox

from tests.support.daemon import ROOT, processes_of, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(autouse=True)
def _possible() -> None:
    if why := sandbox.why_not():
        pytest.skip(why)


def test_no_request_fails_but_those_on_a_process_that_was_killed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trial.run", "--short"], cwd=ROOT, capture_output=True, text=True, timeout=380
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-6000:]}"
    assert "WRONG" not in done.stdout
    print(done.stdout)


def test_nothing_is_left_of_one_that_is_killed(tmp_path: Path) -> None:
    environ = {**os.environ, "HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-m", "trial.run", "--short"], cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True
    ) as trial:
        assert trial.stderr is not None
        for line in trial.stderr:
            if "nothing happens" in line:
                break
        else:
            pytest.fail("it ended before it began")
        assert len(processes_of(tmp_path)) > 2
        trial.kill()
        wait_until(lambda: not processes_of(tmp_path), 10, lambda: processes_of(tmp_path))
    assert not sandbox.PLACE.exists()
