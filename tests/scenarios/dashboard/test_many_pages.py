"""Many open pages: of one browser, and of many; and those that do not read."""

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from playwright.sync_api import Page, expect

from tests.fakes.anthropic import FakeAnthropic
from tests.support.browser import Chromium
from tests.support.calls import post
from tests.support.daemon import Daemon, wait_until
from tests.support.pages import Browser, link_of, processes

HIDE = """(isHidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def is_live(page: Page) -> None:
    expect(page.locator("#connection")).to_have_text("live")


def test_fifty_pages_end_no_request_and_none_starves(daemon: Daemon, browser: Browser, chromium: Chromium) -> None:
    """Three tabs, and 47 programs that read; the next ones get a sentence, and so does a tab."""
    with ExitStack() as stack:
        tabs = [stack.enter_context(chromium.tab(expects=["Failed to load resource"])) for _ in range(4)]
        for tab in tabs[:3]:
            tab.page.goto(link_of(daemon))
            is_live(tab.page)
        streams = [stack.enter_context(browser.live()) for _ in range(47)]
        for stream in streams:
            assert stream.next("status")["state"] == "serving"
        for _ in range(51, 81):
            refused = browser.get("/gateway/live")
            assert (refused.status, refused.document["message"]) == (
                503,
                "cannot show more than 50 pages at a time: close one",
            )
        tabs[3].page.goto(link_of(daemon))
        connection = tabs[3].page.locator("#connection")
        expect(connection).to_contain_text("cannot show more than 50 pages at a time: close one; trying again")
        with ThreadPoolExecutor(4) as clients:
            assert {status for status, _ in clients.map(lambda _: post(daemon.port), range(40))} == {200}
        last = Browser.of(daemon).get("/gateway/history?days=1")
        assert last.document["state"] == "ok"
        for stream in streams:
            assert stream.next("requests")
        for tab in tabs[:3]:
            expect(tab.page.locator("#rows tr").first.locator(".status")).to_have_text("200")
        streams[0].close()
        is_live(tabs[3].page)


def test_tabs_of_one_browser_do_not_starve_each_other(daemon: Daemon, chromium: Chromium) -> None:
    """It has six connections to a server, however many tabs: those in the background leave theirs."""
    with chromium.tab() as first:
        first.page.goto(link_of(daemon))
        is_live(first.page)
        pages = [first.page]

        def open_more(count: int) -> None:
            for _ in range(count):
                page = first.page.context.new_page()
                page.goto(f"{daemon.url}/gateway/")
                is_live(page)
                pages.append(page)

        open_more(4)
        for page in pages:
            page.evaluate(HIDE, True)
        for page in pages:
            expect(page.locator("body")).to_have_attribute("data-connection", "away")
            assert page.title() == "claude-gatewayd"
        open_more(4)
        assert post(daemon.port)[0] == 200
        first.page.evaluate(HIDE, False)
        is_live(first.page)
        expect(first.page.locator("#rows tr").first.locator(".status")).to_have_text("200")
        expect(first.page).to_have_title("Anthropic serves · claude-gatewayd")


@pytest.mark.slow
def test_a_page_that_never_reads_is_closed(chromium: Chromium) -> None:
    """Of 50 of them each is, within half a minute; meanwhile requests are answered, and then there is room."""
    with FakeAnthropic() as fake, Daemon(upstream=fake.url) as daemon, ExitStack() as stack:
        browser = Browser.of(daemon)
        head = f"GET /gateway/live HTTP/1.1\r\nHost: 127.0.0.1:{daemon.port}\r\nCookie: {browser.cookie}\r\n\r\n"
        for _ in range(200):
            post(daemon.port)
        deaf = []
        for _ in range(50):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", daemon.port))
            sock.sendall(head.encode())
            deaf.append(sock)

        def has_room() -> bool:
            with browser.live() as page:
                return page.status == 200

        def has_room_though_more_comes() -> bool:
            assert post(daemon.port)[0] == 200
            return has_room()

        wait_until(lambda: not has_room())
        wait_until(has_room_though_more_comes, describe=daemon.describe)
        assert processes(daemon)
