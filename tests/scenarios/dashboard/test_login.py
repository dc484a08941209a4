"""The buttons that ask AWS: the login of a person at a browser, and what the credentials are worth."""

from collections.abc import Iterator

import pytest

from tests.fakes.aws import FakeAws
from tests.fakes.aws_home import AwsHome
from tests.support.daemon import Daemon, wait_until
from tests.support.pages import Browser

PROFILE = "Sandbox.AdministratorAccess"


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    with FakeAws() as aws:
        aws.state.device_polls = 0
        yield aws


@pytest.fixture
def logged_out(aws: FakeAws) -> Iterator[Daemon]:
    """Yield a daemon whose person is not logged in, on a machine without a display."""
    daemon = Daemon(environ=aws.environ)
    home = AwsHome(daemon.home, aws)
    home.sso_session()
    home.sso_profile(PROFILE)
    with daemon:
        yield daemon


def test_a_login_from_a_page(aws: FakeAws, logged_out: Daemon) -> None:
    browser = Browser.of(logged_out)
    before = browser.do("check-credentials").document
    assert not before["ok"]
    assert "sso-login" in before["hint"]
    aws.user("ignores")
    with browser.live() as live:
        live.next("status")
        assert browser.do("log-in").document == {"ok": True, "message": "The login has begun", "hint": ""}
        shown = live.next("login")
        while not shown["code"]:
            shown = live.next("login")
        assert shown["state"] == "running"
        assert shown["url"].startswith("http")
        assert browser.do("log-in").document["message"] == "A login is under way already"
        with browser.live() as other:
            assert other.next("login")["code"] == shown["code"], "a page that comes later shows it too"
        aws.user("approves")
        while shown["state"] == "running":
            shown = live.next("login")
    assert (shown["state"], shown["message"].startswith("Logged in: ")) == ("done", True), shown
    wait_until(lambda: logged_out.status()["credentials"]["state"] in ("ok", "expiring"), 20, logged_out.describe)
    after = browser.do("check-credentials").document
    assert after["ok"], after
    assert "The AWS credentials work" in after["message"]


def test_a_login_that_is_denied_says_so(aws: FakeAws, logged_out: Daemon) -> None:
    browser = Browser.of(logged_out)
    aws.user("denies")
    with browser.live() as live:
        browser.do("log-in")
        shown = live.next("login")
        while shown["state"] == "running":
            shown = live.next("login")
    assert shown["state"] == "failed"
    assert shown["message"]
    assert "Traceback" not in shown["message"]


def test_a_reload_ends_a_login_with_all_that_it_started(aws: FakeAws, logged_out: Daemon) -> None:
    browser = Browser.of(logged_out)
    aws.user("ignores")
    with browser.live() as live:
        browser.do("log-in")
        while not live.next("login")["code"]:
            pass
        assert browser.do("reload").document["ok"]
    wait_until(lambda: len(logged_out.workers()) == 1, 10, logged_out.describe)
    assert browser.do("log-in").document["ok"], "another one can begin"
