"""What only a newer systemd than that of Debian 12 does: the one of Debian 13, in a tree made by mmdebstrap."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from tests.scenarios.service.inside import LINK, UNITS, Inside, status
from tests.support.daemon import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TREE: Final = Path.home() / ".cache" / "claude-gatewayd-tests" / "trixie-1"
# The libraries are those of whichever Python runs this.
PACKAGES: Final = (
    "systemd,dbus-user-session,libssl3,libsqlite3-0,libffi8,zlib1g,libbz2-1.0,liblzma5,libreadline8,libncursesw6"
)
UNIT: Final = "claude-gatewayd.service"
FAILS: Final = '#!/bin/sh\n[ "$1" != --version ] && exit 1\necho 1\n'


@pytest.fixture(scope="module")
def tree() -> Path:
    """Return a tree of Debian 13, kept for the next run: it takes a minute."""
    if os.geteuid() != 0 or shutil.which("mmdebstrap") is None:
        pytest.skip("no newer systemd: it needs root and mmdebstrap")
    if not TREE.exists():
        TREE.parent.mkdir(parents=True, exist_ok=True)
        part = TREE.with_suffix(f".{os.getpid()}")
        words = ["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", "trixie", str(part)]
        made = subprocess.run(words, capture_output=True, text=True, timeout=400, check=False)
        if made.returncode != 0:
            shutil.rmtree(part, ignore_errors=True)
            pytest.skip(f"no newer systemd: mmdebstrap cannot make a tree: {made.stderr.strip().splitlines()[-1]}")
        (part / "root").chmod(0o755)  # what is shown to the person may lie below it
        part.rename(TREE)
    return TREE


@pytest.fixture
def newer(tree: Path) -> Iterator[Inside]:
    with Inside("--rootfs", str(tree), environ={"CLAUDE_GATEWAY_NOTIFY_ENABLED": "false"}) as inside:
        yield inside


def starts(inside: Inside) -> list[float]:
    """Return when systemd started it again after a failure, in seconds."""
    words = "journalctl --user --quiet --output=short-unix --identifier=systemd | grep 'Scheduled restart job'"
    return [float(line.split()[0]) for line in inside.run(words).stdout.splitlines()]


def test_restarts_are_spaced_by_systemd_itself(newer: Inside) -> None:
    assert int(newer.good("systemctl --version | head -n 1").split()[1]) >= 254
    newer.good("claude-gatewayctl install")
    unit = newer.good(f"cat {UNITS}/{UNIT}")
    assert "\nRestartSteps=" in unit
    assert "--wait" not in unit
    assert newer.run(f"systemd-analyze --user verify {UNITS}/{UNIT}").stderr == ""

    newer.put(f"{Inside.home}/bad/bin/claude-gatewayd", FAILS)
    program = newer.good(f"readlink {LINK}").strip()
    newer.good(f"chmod +x ~/bad/bin/claude-gatewayd; ln -sfn ~/bad {LINK}; systemctl --user kill -s KILL {UNIT}")
    newer.good(f"until [ $(systemctl --user show -P NRestarts {UNIT}) -ge 7 ]; do sleep 0.2; done", 120)
    wait_until(lambda: len(starts(newer)) >= 7, 20)  # the journal may be behind
    waits = [later - earlier for earlier, later in pairwise(starts(newer))]
    assert waits[0] < waits[3] < waits[5]
    assert waits[5] > 5, "after 0.2 s each time it would flood the log"

    newer.good(f"ln -sfn {program} {LINK}; claude-gatewayctl start")
    assert status(newer)["state"] == "serving"
    restarts = f"systemctl --user show -P NRestarts {UNIT}"
    newer.good(f"until [ $({restarts}) = 0 ]; do sleep 0.1; done", 20)  # else the next failure would wait for long

    newer.good(f"systemctl --user kill -s KILL {UNIT}")
    newer.good("until claude-gatewayctl health; do sleep 0.2; done", 20)
    newer.good(f"until [ $({restarts}) = 0 ]; do sleep 0.1; done", 20)


def test_the_sandbox_of_a_newer_systemd(newer: Inside) -> None:
    newer.good("claude-gatewayctl install --sandbox")
    output = newer.good(f"systemd-analyze --user security --no-pager {UNIT}")
    assert " 2.2 OK" in output, "docs/service.md says it"
    assert newer.good("claude-gatewayctl reload").startswith("Reloaded in ")
