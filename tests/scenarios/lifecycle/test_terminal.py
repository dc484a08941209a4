"""The daemon in the foreground of a terminal window, as `make run` starts it."""

import os
import signal
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.support.calls import Stream, post
from tests.support.daemon import BIN, Daemon, wait_until
from tests.support.terminal import CTRL_C, Terminal


class Window(NamedTuple):
    """A daemon, and the terminal that it runs in."""

    daemon: Daemon
    terminal: Terminal


@pytest.fixture
def window(fake: FakeAnthropic) -> Iterator[Window]:
    daemon = Daemon(upstream=fake.url)
    with Terminal([str(BIN / "claude-gatewayd")], daemon.environ, cwd=daemon.home) as terminal:
        daemon.process = terminal.process
        try:
            daemon.wait_serving()
            yield Window(daemon, terminal)
        finally:
            daemon.close()


def test_it_says_how_to_use_it(window: Window) -> None:
    window.terminal.until(f"export ANTHROPIC_BASE_URL={window.daemon.url}\r\n")
    window.terminal.until("NO_PROXY")


def test_a_greeting_that_nobody_reads_is_no_reason_to_end(fake: FakeAnthropic) -> None:
    daemon = Daemon(upstream=fake.url)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        with daemon.log_file.open("wb") as log:
            daemon.process = subprocess.Popen(
                [str(BIN / "claude-gatewayd")], env=daemon.environ, stdout=writing, stderr=log, cwd=daemon.home
            )
        daemon.wait_serving()
        assert daemon.status()["state"] == "serving"  # the greeting has been tried
        assert post(daemon.port)[0] == 200
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert "Traceback" not in daemon.log
    finally:
        os.close(writing)
        daemon.close()


def test_closing_the_window_stops_it(window: Window) -> None:
    window.terminal.close()
    assert window.daemon.wait() == 0
    wait_until(lambda: window.daemon.workers() == [])


def test_closing_the_window_lets_a_stream_finish(window: Window, fake: FakeAnthropic) -> None:
    hold = fake.hold_next("end")
    with Stream(window.daemon.port) as stream:
        hold.wait_reached()
        window.terminal.close()
        wait_until(lambda: window.daemon.status()["state"] == "stopping")
        hold.release()
        stream.rest()
        assert stream.is_whole
    assert window.daemon.wait() == 0


def test_a_hang_up_signal_in_a_living_terminal_reloads(window: Window) -> None:
    window.daemon.signal(signal.SIGHUP)
    window.terminal.until("generation 1 has ended")
    assert window.daemon.generation()["number"] == 2
    assert post(window.daemon.port)[0] == 200


def test_control_c_stops_it_after_its_streams(window: Window, fake: FakeAnthropic) -> None:
    hold = fake.hold_next("end")
    with Stream(window.daemon.port) as stream:
        hold.wait_reached()
        window.terminal.press(CTRL_C)
        window.terminal.until("again to end at once")
        hold.release()
        stream.rest()
        assert stream.is_whole
    assert window.daemon.wait() == 0
    window.terminal.until("supervisor: stopped")
