"""What an open page is sent, and what becomes of it when something ends."""

import os
import signal
import socket
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from claude_gatewayd import paths
from tests.fakes.anthropic import FakeAnthropic
from tests.support.calls import CUT, post
from tests.support.daemon import Daemon, wait_until
from tests.support.pages import Browser, LiveStream, processes

FIELDS = {"id", "started_at", "kind", "status", "model_asked", "upstream", "cost", "first_event_ms", "words"}


def ended(live: LiveStream) -> bool:
    """Read to the end of a stream; return whether it came."""
    try:
        for _ in live.events():
            pass
    except CUT:
        pass
    return True


def test_a_page_begins_with_the_status_and_the_last_requests(daemon: Daemon, browser: Browser) -> None:
    before = time.time()
    assert post(daemon.port)[0] == 200
    with browser.live() as live:
        assert live.answer.getheader("content-type") == "text/event-stream; charset=utf-8"
        status, rows = live.first("status", "requests")
    assert status["state"] == "serving"
    assert before - 1 <= status["now"] <= time.time() + 1
    assert status.keys() - {"now"} == daemon.status().keys()
    row = rows[-1]
    assert row.keys() >= FIELDS
    assert (row["status"], row["kind"], row["words"]) == (200, "messages", "")


def test_a_request_appears_as_it_ends_and_a_failure_says_what_happened(daemon: Daemon, browser: Browser) -> None:
    with browser.live() as live:
        live.next("status")
        begun = time.monotonic()
        assert post(daemon.port, headers={"authorization": ""})[0] == 401
        row, status = None, None
        for name, data in live.events():  # which of them comes first is open
            if name == "requests":
                row = next((row for row in data if row["status"] == 401), row)
            elif name == "status" and "401" in data["requests"]:
                status = data
            if row and status:
                break
        assert time.monotonic() - begun < 5
        assert row is not None
        assert row["words"].endswith(".")


def test_pages_are_not_counted_and_no_work(daemon: Daemon, browser: Browser) -> None:
    before = daemon.status()
    with browser.live() as live:
        last = live.next("requests")[-1]
        for path in ("/gateway/", "/gateway/nothing", "/gateway/static/index.html"):
            browser.get(path)
        Browser(daemon).get("/gateway/")
        after = daemon.status()
        assert (after["requests"], after["under_way"]) == (before["requests"], 0)
    with browser.live() as live:
        assert live.next("requests")[-1]["id"] == last["id"]
    assert daemon.status()["requests"] == before["requests"], "a page that has gone is no client that has"


def test_a_reload_ends_the_streams_at_once_and_they_come_back(upstream: FakeAnthropic) -> None:
    with Daemon(upstream=upstream.url) as daemon:
        browser = Browser.of(daemon)
        with browser.live() as live:
            live.next("status")
            (before,) = processes(daemon)
            begun = time.monotonic()
            answer = browser.do("reload")
            assert answer.document["ok"], answer
            assert "generation 2 serves" in answer.document["message"]
            assert ended(live)
            wait_until(lambda: len(daemon.workers()) == 1, 10, daemon.describe)
            assert time.monotonic() - begun < 8, "no page holds up a drain"
        with browser.live() as live:
            assert live.next("status")["generations"][0]["number"] == 2
            (after,) = processes(daemon)
            assert after != before
        assert "WARNING dashboard" not in daemon.log
        assert "the dashboard's process" not in daemon.log


def test_an_invalid_configuration_is_a_sentence(upstream: FakeAnthropic) -> None:
    with Daemon(upstream=upstream.url) as daemon:
        browser = Browser.of(daemon)
        daemon.config_file.write_text("[log]\nlevel = 3\n")
        answer = browser.do("reload").document
        assert not answer["ok"]
        assert answer["message"].startswith("Not reloaded, nothing has changed: ")


def test_a_stop_does_not_wait_for_a_page(upstream: FakeAnthropic) -> None:
    with Daemon(upstream=upstream.url) as daemon, Browser.of(daemon).live() as live:
        live.next("status")
        (child,) = processes(daemon)
        begun = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert time.monotonic() - begun < 5
        assert ended(live)
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


def test_a_process_that_is_killed_comes_back_and_no_request_notices(upstream: FakeAnthropic) -> None:
    with Daemon(upstream=upstream.url) as daemon:
        browser = Browser.of(daemon)
        with browser.live() as live:
            live.next("status")
            (child,) = processes(daemon)
            os.kill(child, signal.SIGKILL)
            assert ended(live)
            assert post(daemon.port)[0] == 200
        with browser.live() as live:
            assert live.next("requests")[-1]["status"] == 200
        assert processes(daemon) != [child]
        assert "the dashboard's process ended with status -9" in daemon.log


def test_a_worker_that_is_killed_leaves_no_process(upstream: FakeAnthropic) -> None:
    with Daemon(upstream=upstream.url) as daemon, Browser.of(daemon).live() as live:
        live.next("status")
        (child,), (worker,) = processes(daemon), daemon.workers()
        daemon.kill(worker)
        assert ended(live)
        wait_until(lambda: not Path(f"/proc/{child}").exists(), 8)


def test_a_process_that_does_not_start_is_a_sentence(upstream: FakeAnthropic, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nif any('claude_gatewayd.dashboard' in word for word in sys.orig_argv):\n    sys.exit(3)\n"
    )
    with Daemon(upstream=upstream.url, environ={"PYTHONPATH": str(tmp_path)}) as daemon:
        browser = Browser.of(daemon)
        for _ in range(3):
            answer = browser.get("/gateway/")
            assert answer.status == 503
            assert "cannot show the dashboard: its process ended as soon as it was started" in answer.text.lower(), (
                answer
            )
            assert "claude-gatewayctl logs" in answer.text
        assert not browser.get("/gateway/live").document["ok"]
        assert daemon.log.count("the dashboard's process ended with status 1") == 1, "it is not tried with each request"
        assert post(daemon.port)[0] == 200


def test_more_than_fifty_pages_are_refused_and_end_no_request(daemon: Daemon, browser: Browser) -> None:
    with ThreadPoolExecutor(4) as clients:
        pages = [browser.live() for _ in range(50)]
        try:
            for page in pages:
                assert page.next("status")["state"] == "serving"
            one_more = browser.get("/gateway/live")
            assert one_more.status == 503
            assert "50 pages at a time" in one_more.document["message"]
            assert {status for status, _ in clients.map(lambda _: post(daemon.port), range(40))} == {200}
            seen = sum(len(page.next("requests")) for page in pages[:3])
            assert seen >= 3
        finally:
            for page in pages:
                page.close()

    def has_room() -> bool:
        with browser.live() as page:
            return page.status == 200

    wait_until(has_room, 5)


def test_nothing_of_it_is_a_file(daemon: Daemon, browser: Browser) -> None:
    """So no path is too long for a socket, no cleaner takes it away, and a full disk does not matter."""
    with browser.live() as live:
        live.next("status")
        assert browser.get("/gateway/").status == 200
        made = [path for path in daemon.runtime.rglob("*") if stat.S_ISSOCK(path.stat().st_mode)]
    assert made == [paths.control_socket(daemon.environ)]


def test_a_page_that_does_not_read_holds_up_nobody(daemon: Daemon, browser: Browser) -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", daemon.port))
        sock.sendall(b"GET /gateway/live HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: %b\r\n\r\n" % browser.cookie.encode())
        assert sock.recv(12) == b"HTTP/1.1 200"
        with browser.live() as live:
            live.next("status")
            with ThreadPoolExecutor(8) as clients:
                assert {status for status, _ in clients.map(lambda _: post(daemon.port), range(200))} == {200}
            assert live.next("requests")


@pytest.mark.slow
def test_a_process_that_hangs_is_replaced(upstream: FakeAnthropic) -> None:
    with Daemon(upstream=upstream.url) as daemon:
        browser = Browser.of(daemon)
        assert browser.get("/gateway/").status == 200
        (child,) = processes(daemon)
        os.kill(child, signal.SIGSTOP)
        assert browser.get("/gateway/").status == 503
        assert post(daemon.port)[0] == 200
        assert browser.get("/gateway/").status == 200
        wait_until(lambda: child not in processes(daemon), 10, daemon.describe)
        assert "the dashboard's process does not answer, and is ended" in daemon.log
