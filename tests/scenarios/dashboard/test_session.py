"""Who gets the dashboard: whoever opened this user's one-time link in this browser, and nobody else."""

import sys
import time

import pytest

from claude_gatewayd import paths
from claude_gatewayd.worker.dashboard import session
from tests.fakes.anthropic import FakeAnthropic
from tests.support.daemon import Daemon, wait_until
from tests.support.other_user import as_nobody, needs_root
from tests.support.pages import Browser, PageAnswer, link_of

HOW = "claude-gatewayctl dashboard"
EVERY_PATH = (
    "/gateway/",
    "/gateway/open",
    "/gateway/open?link=abc",
    "/gateway/live",
    "/gateway/static/index.html",
    "/gateway/history?days=7",
    "/gateway/configuration",
    "/gateway/findings",
    "/gateway/nothing",
    "/gateway",
)
HEADERS = {
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
}


def refused(answer: PageAnswer, status: int = 401) -> None:
    """Hold that nothing of the dashboard is in an answer: no script, no cookie, no data."""
    assert answer.status == status
    assert not answer.header("set-cookie")
    assert "<script" not in answer.text
    assert "<style" not in answer.text
    assert len(answer.body) < 500


def test_without_a_session_every_page_says_how_to_open_one(daemon: Daemon) -> None:
    nobody = Browser(daemon)
    for path in EVERY_PATH[:-1]:
        answer = nobody.get(path)
        refused(answer)
        assert HOW in answer.text, path


def test_the_link_opens_a_session_once(daemon: Daemon) -> None:
    link = link_of(daemon)
    first = Browser(daemon).open(link, Sec_Fetch_Site="none")
    assert (first.status, first.header("location")) == (303, "/gateway/")
    value, *attributes = first.header("set-cookie").split("; ")
    assert value.startswith(f"claude-gateway-session-{daemon.port}=")
    assert attributes == ["Path=/gateway/", "HttpOnly", "SameSite=Strict"]
    browser = Browser(daemon, value)
    assert browser.get("/gateway/").status == 200
    again = Browser(daemon).open(link)
    refused(again)
    assert "was used before" in again.text
    assert HOW in again.text
    assert browser.get("/gateway/").status == 200, "a second use ends no session"


def test_a_head_does_not_use_the_link_up(daemon: Daemon) -> None:
    link = link_of(daemon)
    path = link.partition(str(daemon.port))[2]
    assert Browser(daemon).ask("HEAD", path).status == 405
    assert Browser(daemon).open(link).status == 303


def test_a_link_on_another_site_does_not_use_it_up_and_shows_nothing(daemon: Daemon, browser: Browser) -> None:
    link = link_of(daemon)
    answer = Browser(daemon).open(link, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")
    refused(answer)
    assert HOW in answer.text
    assert Browser(daemon).open(link).status == 303
    for site in ("cross-site", "same-site"):  # another port of 127.0.0.1 is the same site, and is sent the cookie
        refused(browser.get("/gateway/", Sec_Fetch_Site=site))
        refused(browser.get("/gateway/live", Sec_Fetch_Site=site), 403)
        refused(browser.get("/gateway/static/index.html", Sec_Fetch_Site=site), 403)
        refused(browser.do("reload", Sec_Fetch_Site=site), 403)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:47000", "169.254.169.254", "[::2]:1"])
def test_a_foreign_host_gets_nothing(daemon: Daemon, browser: Browser, host: str) -> None:
    link = link_of(daemon)
    for path in (*EVERY_PATH, link.partition(str(daemon.port))[2]):
        refused(browser.get(path, Host=host), 421)
    refused(browser.do("reload", Host=host), 421)
    assert Browser(daemon).open(link).status == 303


def test_a_page_of_another_origin_gets_nothing(daemon: Daemon, browser: Browser) -> None:
    others = (
        "http://evil.example",
        "null",
        f"https://127.0.0.1:{daemon.port}",
        "http://127.0.0.1:1",
        "http://127.0.0.1",
        f"http://localhost:{daemon.port}",  # ours too, but not the one of the Host
        f"http://127.0.0.1:{daemon.port}.evil.example",
    )
    for origin in others:
        for path in EVERY_PATH[:-1]:
            refused(browser.get(path, Origin=origin), 403)
        refused(browser.do("reload", Origin=origin), 403)
    assert browser.get("/gateway/", Origin=browser.origin).status == 200
    assert browser.get("/gateway/static/index.html", Sec_Fetch_Site="same-origin").status == 200


def test_an_older_or_a_forged_cookie_gets_nothing(daemon: Daemon, browser: Browser) -> None:
    key = paths.gateway_key_file(daemon.environ).read_text().strip()
    name = session.cookie_name(daemon.port)
    now = time.time()
    good = session.begin(key, daemon.port, now)
    made, _, proof = good.partition(".")
    bad = {
        "older than 30 days": session.begin(key, daemon.port, now - session.LONGEST - 1),
        "of tomorrow": session.begin(key, daemon.port, now + 86400),
        "of another key": session.begin("cgw-another", daemon.port, now),
        "of another port": session.begin(key, daemon.port + 1, now),
        "made longer": f"{int(made) + 1}.{proof}",
        "empty": "",
        "no proof": f"{made}.",
        "the key itself": key,
        "long": "1" * 5000,
        "not of this alphabet": "\xe4.\xe4",
    }
    for what, value in bad.items():
        print(what)
        refused(Browser(daemon, f"{name}={value}").get("/gateway/"))
    assert Browser(daemon, f"{name}={good}").get("/gateway/").status == 200
    assert Browser(daemon, f"other=1; {name}=1.2; {name}={good}").get("/gateway/").status == 200


def test_an_action_is_only_for_the_pages_own_script(daemon: Daemon, browser: Browser) -> None:
    refused(browser.do("reload", Origin=""), 403)
    refused(browser.do("reload", X_Gateway_Page=""), 403)
    refused(browser.do("reload", X_Gateway_Page="2"), 403)
    refused(browser.get("/gateway/do/reload"), 405)
    refused(browser.ask("POST", "/gateway/", {"Origin": browser.origin, "X-Gateway-Page": "1"}), 405)
    refused(browser.ask("PUT", "/gateway/"), 405)
    refused(browser.ask("POST", "/gateway/do/reload", {"Origin": browser.origin, "X-Gateway-Page": "1"}, b"x"), 413)
    refused(Browser(daemon).do("reload"), 401)
    assert daemon.generation()["number"] == 1


def test_a_stream_has_one_name_and_a_body(browser: Browser) -> None:
    """By another it would not be counted, not be ended by a drain, and not be closed if nobody reads it."""
    for path in ("/gateway/%6cive", "/gateway/live%20", "/gateway/live/", "/gateway//live", "/gateway/./live"):
        assert browser.get(path).status == 404, path
    refused(browser.ask("HEAD", "/gateway/live"), 405)  # the answer has no end, and what follows would wait for it
    for _ in range(3):
        assert browser.get("/gateway/").status == 200


def test_nothing_leads_elsewhere(browser: Browser) -> None:
    for path in ("/gateway/static", "/gateway/history/", "/gateway//evil.example/", "/gateway/static//evil.example/"):
        answer = browser.get(path)
        assert (answer.status, answer.header("location")) == (404, ""), path


def test_every_answer_has_every_header(daemon: Daemon, browser: Browser) -> None:
    nobody = Browser(daemon)
    answers = [who.get(path) for who in (browser, nobody) for path in EVERY_PATH if path != "/gateway/live"]
    answers += [
        browser.get("/gateway/", Host="evil.example"),
        browser.get("/gateway/", Origin="null"),
        browser.do("reload", Origin=""),
        browser.ask("HEAD", "/gateway/"),
        nobody.open(link_of(daemon)),
        browser.get("/gateway/static/../../__init__.py"),
    ]
    with browser.live() as live:
        lines = [(name.lower(), value) for name, value in live.answer.getheaders()]
        answers.append(PageAnswer(live.status, lines, b""))
    for answer in answers:
        assert {name: answer.header(name) for name in HEADERS} == HEADERS, answer
        policy = answer.header("content-security-policy")
        assert policy.startswith("default-src 'none'; ")
        assert "unsafe" not in policy
        assert answer.header("cache-control") in ("no-store", "no-cache")
        assert "geolocation=()" in answer.header("permissions-policy")
        assert not answer.header("server")


def test_what_does_not_change_is_not_sent_again(browser: Browser) -> None:
    first = browser.get("/gateway/static/index.html")
    assert (first.status, first.header("cache-control")) == (200, "no-cache")
    again = browser.get("/gateway/static/index.html", If_None_Match=first.header("etag"))
    assert (again.status, again.body) == (304, b"")
    assert browser.get("/gateway/").header("cache-control") == "no-store"


@needs_root
@pytest.mark.skipif(sys.platform != "linux", reason="which user asks is seen in Linux's table of sockets alone")
def test_another_user_gets_nothing_even_with_the_cookie(daemon: Daemon, browser: Browser) -> None:
    """A server of theirs on another port of this machine is sent it by the browser, if this person goes there."""
    assert browser.get("/gateway/").status == 200
    assert "another user" in as_nobody(lambda: browser.get("/gateway/").text)


def test_a_session_ends_with_the_key_and_with_nothing_else(upstream: FakeAnthropic) -> None:
    with Daemon(upstream=upstream.url) as daemon:
        browser = Browser.of(daemon)
        assert browser.get("/gateway/").status == 200
        assert daemon.ctl("reload").returncode == 0
        assert browser.get("/gateway/").status == 200
        paths.gateway_key_file(daemon.environ).write_text("cgw-another-key-0000000000000000000000000000\n")
        assert daemon.ctl("reload").returncode == 0
        wait_until(lambda: browser.get("/gateway/").status == 401, 10, daemon.describe)
        assert Browser.of(daemon).get("/gateway/").status == 200


def test_in_remote_mode_it_is_off_unless_it_is_switched_on(upstream: FakeAnthropic) -> None:
    with Daemon(upstream=upstream.url, config="[listen]\nremote = true\n") as daemon:
        answer = Browser(daemon).get("/gateway/")
        refused(answer, 404)
        assert "[dashboard] remote" in answer.text
        done = daemon.ctl("dashboard", "--no-browser")
        assert done.returncode == 1
        assert "in remote mode it is off" in done.stderr
        assert "claude-gatewayctl config set dashboard.remote true --reload" in done.stderr
        assert daemon.ctl("config", "set", "dashboard.remote", "true", "--reload").returncode == 0
        browser = Browser.of(daemon)
        assert browser.get("/gateway/").status == 200
        refused(Browser(daemon).get("/gateway/"))
