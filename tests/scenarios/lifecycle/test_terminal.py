"""The daemon in the foreground of a terminal window, as `make run` starts it."""

import os
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.support.calls import Stream, post
from tests.support.daemon import BIN, Daemon, wait_until


class Window:
    """A terminal window with a daemon in it: what it shows, what is typed, and its end."""

    def __init__(self, upstream: str) -> None:
        self._master, slave = os.openpty()
        self.shown = b""
        self.daemon = Daemon(upstream=upstream, terminal=slave)
        try:
            self.daemon.spawn()
        finally:
            os.close(slave)
        self._shut, shut = socket.socketpair()
        self._reader = threading.Thread(target=self._read, args=(shut,))
        self._reader.start()

    def _read(self, shut: socket.socket) -> None:
        with shut:
            while shut.fileno() not in select.select([self._master, shut.fileno()], [], [])[0]:
                try:
                    self.shown += os.read(self._master, 65536)
                except OSError:
                    return  # nobody has the other end open any more

    def key(self, text: bytes) -> None:
        """Press keys."""
        os.write(self._master, text)

    def close(self) -> None:
        """Close it, as by a click: its programs get a hang-up."""
        if self._shut.fileno() >= 0:
            self._shut.close()
            self._reader.join()  # while somebody reads, the terminal stays
            os.close(self._master)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print(self.shown.decode(errors="replace"))
        self.daemon.close()
        self.close()


@pytest.fixture
def window(fake: FakeAnthropic) -> Iterator[Window]:
    with Window(fake.url) as window:
        window.daemon.wait_serving()
        yield window


def test_it_says_how_to_use_it(window: Window) -> None:
    wait_until(lambda: b"NO_PROXY" in window.shown)
    assert f"export ANTHROPIC_BASE_URL={window.daemon.url}\r\n".encode() in window.shown


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
    window.close()
    assert window.daemon.wait() == 0
    wait_until(lambda: window.daemon.workers() == [])


def test_closing_the_window_lets_a_stream_finish(window: Window, fake: FakeAnthropic) -> None:
    hold = fake.hold_next("end")
    with Stream(window.daemon.port) as stream:
        hold.wait_reached()
        window.close()
        wait_until(lambda: window.daemon.status()["state"] == "stopping")
        hold.release()
        stream.rest()
        assert stream.is_whole
    assert window.daemon.wait() == 0


def test_a_hang_up_signal_in_a_living_terminal_reloads(window: Window) -> None:
    window.daemon.signal(signal.SIGHUP)
    wait_until(lambda: b"generation 1 has ended" in window.shown)
    assert window.daemon.generation()["number"] == 2
    assert post(window.daemon.port)[0] == 200


def test_control_c_stops_it_after_its_streams(window: Window, fake: FakeAnthropic) -> None:
    hold = fake.hold_next("end")
    with Stream(window.daemon.port) as stream:
        hold.wait_reached()
        window.key(b"\x03")
        wait_until(lambda: b"again to end at once" in window.shown)
        hold.release()
        stream.rest()
        assert stream.is_whole
    assert window.daemon.wait() == 0
    wait_until(lambda: b"supervisor: stopped" in window.shown)
