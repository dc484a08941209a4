"""What ctl shows on a terminal alone: colours, a status that is drawn again and again, that time passes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import BIN, Daemon
from tests.support.terminal import Terminal

CTL = str(BIN / "claude-gatewayctl")
WATCHED = "\x1b[?1049h"
LEFT = "\x1b[?25h\x1b[?1049l"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon() as daemon:
        yield daemon


def test_status_is_in_colour(daemon: Daemon) -> None:
    with Terminal([CTL, "status"], daemon.environ) as terminal:
        assert terminal.until(daemon.url) == f"\x1b[1;32mserving\x1b[0m  {daemon.url}"
        assert terminal.process.wait(10) == 0
    with Terminal([CTL, "status"], daemon.environ | {"NO_COLOR": "1"}) as terminal:
        assert terminal.until(daemon.url) == f"serving  {daemon.url}"


def test_without_a_verb_what_to_type_stands_out(daemon: Daemon) -> None:
    with Terminal([CTL], daemon.environ) as terminal:
        assert terminal.until("Next:").startswith("\x1b[1;32mserving\x1b[0m")
        terminal.until("\x1b[36mclaude-gatewayctl configure-claude\x1b[0m")
        assert terminal.process.wait(10) == 0


def test_tables_and_configurations_are_in_colour(daemon: Daemon) -> None:
    proxy = str(Path(__file__).parents[1] / "migrate" / "proxy")
    with Terminal([CTL, "import", proxy, "--dry-run"], daemon.environ) as terminal:
        terminal.until("\x1b[2mconfig.yaml:")
        terminal.until("\x1b[32m")
        terminal.until("Next: stop the proxy")
    with Terminal([CTL, "config", "show"], daemon.environ) as terminal:
        terminal.until("\x1b[1m[listen]\x1b[0m")
        terminal.until(f"\x1b[32mport = {daemon.port} ")
        terminal.until("\x1b[2m # environment CLAUDE_GATEWAY_LISTEN_PORT\x1b[0m")
    with Terminal([CTL, "doctor"], daemon.environ) as terminal:
        terminal.until("\x1b[32mok\x1b[0m    \x1b[1mdaemon\x1b[0m")
        terminal.until("\x1b[36mclaude-gatewayctl configure-claude\x1b[0m")


def test_watch_goes_on_while_nothing_runs_and_ends_by_control_c() -> None:
    with Daemon() as daemon, Terminal([CTL, "status", "--watch"], daemon.environ) as terminal:
        terminal.until(WATCHED)
        for _ in range(2):
            assert f"serving\x1b[0m  {daemon.url}" in terminal.until("\x1b[J")
        daemon.ctl("stop", "--now")
        terminal.until("\x1b[1;31mdown\x1b[0m  cannot reach")
        terminal.until("\x1b[J")
        terminal.press("\x03")
        terminal.until(LEFT)
        assert terminal.process.wait(10) == 0


def test_watch_gives_the_terminal_back_when_it_is_ended(daemon: Daemon) -> None:
    with Terminal([CTL, "status", "--watch"], daemon.environ, columns=30, rows=6) as terminal:
        terminal.until(WATCHED)
        frame = terminal.until("\x1b[J")
        assert frame.count("\r\n") == 5
        terminal.process.send_signal(signal.SIGTERM)
        terminal.until(LEFT)
        assert terminal.process.wait(10) == 128 + signal.SIGTERM


def test_watch_in_a_pipe_is_a_line_each_time(daemon: Daemon) -> None:
    with subprocess.Popen(
        [CTL, "status", "--watch", "--json"], env=daemon.environ, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        statuses = [json.loads(process.stdout.readline()) for _ in range(2)]
        assert [one["state"] for one in statuses] == ["serving", "serving"]
        assert statuses[1]["uptime"] > statuses[0]["uptime"]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_watch_in_a_pipe_that_nobody_reads_any_more_ends(daemon: Daemon) -> None:
    with subprocess.Popen(
        [CTL, "status", "--watch"], env=daemon.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("serving  http")
        process.stdout.close()
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


WAITING = """
from claude_gatewayd.ctl.terminal.progress import Progress, say
with Progress("Waiting for something", quiet_for=0.0):
    input()
    say("News")
    input()
print("over")
"""


def test_that_time_passes_is_shown_and_taken_away() -> None:
    with Terminal([sys.executable, "-c", WAITING], dict(os.environ)) as terminal:
        terminal.until("\r\x1b[KWaiting for something …")
        terminal.until("\r\x1b[KWaiting for something … 1 s")
        terminal.press("\n")
        terminal.until("\r\x1b[KNews\r\n")
        terminal.until("\r\x1b[KWaiting for something …")
        terminal.press("\n")
        assert terminal.until("over\r\n").endswith("\r\x1b[Kover\r\n")


def test_in_a_pipe_nobody_is_told_that_time_passes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WAITING], input="\n\n", capture_output=True, text=True, timeout=30, check=True
    )
    assert (done.stdout, done.stderr) == ("over\n", "News\n")
