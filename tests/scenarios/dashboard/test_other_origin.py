"""What a page of somebody else can do in a browser that has a session, in that browser: nothing."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import expect

from claude_gatewayd.worker.dashboard import session
from tests.support.browser import Chromium, Tab
from tests.support.daemon import Daemon
from tests.support.pages import link_of

ANYTHING = (".",)  # a page that is refused complains
HOW = "claude-gatewayctl dashboard"

# Each returns a text that begins with "got" if it has come by something.
ATTEMPTS = """async (ours) => {
  const event = (target, good, make) => new Promise((resolve) => {
    target.addEventListener(good, (found) => resolve(`got ${found.data ?? good}`));
    target.addEventListener("error", () => resolve("nothing"));
    make?.(target);
  });
  const element = (tag, attributes) => event(document.createElement(tag), "load", (node) => {
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    document.body.append(node);
  });
  const fetched = (path, options) => fetch(ours + path, { credentials: "include", ...options }).then(
    async (answer) => `got ${answer.type} ${answer.status} ${await answer.text()}`, () => "nothing");
  const post = { method: "POST" };
  const found = {
    "fetch": await fetched("/gateway/"),
    "fetch of the history": await fetched("/gateway/history?days=7"),
    "fetch without CORS": await fetched("/gateway/configuration", { mode: "no-cors" }),
    "fetch of the stream without CORS": await fetched("/gateway/live", { mode: "no-cors" }),
    "fetch that asks first": await fetched("/gateway/do/reload", { ...post, headers: { "x-gateway-page": "1" } }),
    "simple POST": await fetched("/gateway/do/reload", { ...post, mode: "no-cors" }),
    "POST of a text": await fetched("/gateway/do/reload", { ...post, mode: "no-cors", body: "x-gateway-page: 1" }),
    "stream": await event(new EventSource(`${ours}/gateway/live`, { withCredentials: true }), "open"),
    "stream as JSON": await fetched("/gateway/live"),
    "web socket": await event(new WebSocket(`${ours.replace("http", "ws")}/gateway/live`), "open"),
    "image": await element("img", { src: `${ours}/gateway/static/icon.svg` }),
    "script": await element("script", { src: `${ours}/gateway/static/format.js` }),
    "module": await element("script", { type: "module", src: `${ours}/gateway/static/format.js` }),
    "style": await element("link", { rel: "stylesheet", href: `${ours}/gateway/static/base.css` }),
    "import": await import(`${ours}/gateway/static/format.js`).then(() => "got it", () => "nothing"),
    "cookie": document.cookie ? `got ${document.cookie}` : "nothing",
  };
  navigator.sendBeacon(`${ours}/gateway/do/reload`, "x");
  return found;
}"""
FRAMED = "(url) => document.body.append(Object.assign(document.createElement('iframe'), { src: url }))"
FORM = """([url, field]) => {
  const form = document.createElement("form");
  Object.assign(form, { method: "post", action: url, enctype: "text/plain" });
  if (field) form.append(Object.assign(document.createElement("input"), { name: field, value: "1" }));
  document.body.append(form);
  form.submit();
}"""
FOLLOW = """(url) => {
  const link = Object.assign(document.createElement("a"), { href: url, textContent: "free tokens" });
  document.body.append(link);
  link.click();
}"""


class _Elsewhere(BaseHTTPRequestHandler):
    """Any path is an empty page."""

    def do_GET(self) -> None:
        body = b"<!doctype html><title>elsewhere</title><body>elsewhere</body>"
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def elsewhere() -> Iterator[int]:
    """Serve an empty page at any path; yield the port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def other_port() -> Iterator[int]:
    with elsewhere() as port:
        yield port


def with_a_session(tab: Tab, daemon: Daemon) -> None:
    tab.page.goto(link_of(daemon))
    expect(tab.page.locator("#connection")).to_have_text("live")


def nothing_of_it(tab: Tab) -> None:
    """Hold that a page shows a sentence, and nothing of the dashboard."""
    expect(tab.page.locator("body")).to_contain_text(HOW)
    assert tab.page.locator("script, link:not([rel=icon]), style, table, form, button").count() == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_it_reads_and_does_nothing(daemon: Daemon, chromium: Chromium, other_port: int, host: str) -> None:
    """On another port of 127.0.0.1 it is the same site, so the browser sends it the cookie, and ours with its."""
    with chromium.tab(expects=ANYTHING) as tab:
        with_a_session(tab, daemon)
        before = daemon.status()
        tab.page.goto(f"http://{host}:{other_port}/gateway/")
        own = tab.page.evaluate(ATTEMPTS, f"http://{host}:{other_port}")
        assert own["fetch"].startswith("got basic 200")  # so they are attempts that can succeed
        found = tab.page.evaluate(ATTEMPTS, daemon.url)
        assert found == dict.fromkeys(found, "nothing")
        for path in ("/gateway/", "/gateway/static/index.html", "/gateway/open"):
            tab.page.evaluate(FRAMED, daemon.url + path)
        assert len(tab.page.frames) == 4
        deadline = time.monotonic() + 30
        while not all(frame.url.startswith("chrome-error:") for frame in tab.page.frames[1:]):
            assert time.monotonic() < deadline, [frame.url for frame in tab.page.frames]
            tab.page.wait_for_timeout(50)  # in which playwright hears of them
        for field in ("", "x-gateway-page"):
            tab.page.goto(f"http://{host}:{other_port}/gateway/")
            tab.page.evaluate(FORM, [f"{daemon.url}/gateway/do/reload", field])
            expect(tab.page.locator("body")).to_contain_text('"ok":false')
        assert daemon.status()["last_reload"] == before["last_reload"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_its_links_show_nothing_and_use_no_link_up(
    daemon: Daemon, chromium: Chromium, other_port: int, host: str
) -> None:
    with chromium.tab(expects=ANYTHING) as tab:
        with_a_session(tab, daemon)
        used, unused = tab.page.context, link_of(daemon)
        assert len(used.cookies()) == 1
        for url in (f"{daemon.url}/gateway/", unused):
            tab.page.goto(f"http://{host}:{other_port}/")
            tab.page.evaluate(FOLLOW, url)
            nothing_of_it(tab)
        with tab.page.expect_popup() as opened:
            tab.page.goto(f"http://{host}:{other_port}/")
            tab.page.evaluate("(url) => { window.other = window.open(url); }", f"{daemon.url}/gateway/")
        expect(opened.value.locator("body")).to_contain_text(HOW)
        tab.page.goto(unused)  # as from the address bar
        expect(tab.page.locator("#connection")).to_have_text("live")


def test_a_link_opens_once_also_in_this_browser(daemon: Daemon, chromium: Chromium) -> None:
    link = link_of(daemon)
    with chromium.tab(expects=ANYTHING) as tab, chromium.tab(expects=ANYTHING) as other:
        tab.page.goto(link)
        expect(tab.page.locator("#connection")).to_have_text("live")
        assert "link=" not in tab.page.url
        other.page.goto(link)
        nothing_of_it(other)
        expect(other.page.locator("body")).to_contain_text("was used before")
        other.page.goto(f"{daemon.url}/gateway/")
        nothing_of_it(other)


def test_a_name_that_is_led_here_shows_nothing(daemon: Daemon, chromium: Chromium) -> None:
    """As with DNS rebinding: a browser leads any name below localhost to this machine."""
    link = link_of(daemon)
    with chromium.tab(expects=ANYTHING) as tab:
        for url in (f"http://evil.localhost:{daemon.port}/gateway/", link.replace("127.0.0.1", "evil.localhost")):
            answer = tab.page.goto(url)
            assert answer is not None
            assert answer.status == 421
            assert tab.page.locator("script, link:not([rel=icon]), style, table").count() == 0
        with_a_session(tab, daemon)


@pytest.mark.parametrize("value", ["", "older", "1.2", "<script>alert(1)</script>"])
def test_a_cookie_of_somebody_elses_making_shows_nothing(daemon: Daemon, chromium: Chromium, value: str) -> None:
    older = session.begin("cgw-the-key-before", daemon.port, 1_700_000_000)
    with chromium.tab(expects=ANYTHING) as tab:
        name = session.cookie_name(daemon.port)
        cookie = older if value == "older" else value
        tab.page.context.add_cookies(
            [{"name": name, "value": cookie, "domain": "127.0.0.1", "path": "/gateway/", "sameSite": "Strict"}]
        )
        tab.page.goto(f"{daemon.url}/gateway/")
        nothing_of_it(tab)
