"""The page of a real daemon, in a real browser."""

import time

from playwright.sync_api import Page, expect

from tests.fakes.anthropic import FakeAnthropic
from tests.support.browser import Chromium
from tests.support.daemon import Daemon
from tests.support.pages import link_of
from tests.support.stage import Stage


def open_page(page: Page, daemon: Daemon) -> None:
    page.goto(link_of(daemon))
    assert page.url == f"{daemon.url}/gateway/"
    expect(page.locator("#connection")).to_have_text("live")


def test_it_loads_without_a_complaint_and_shows_a_request(
    daemon: Daemon, upstream: FakeAnthropic, chromium: Chromium
) -> None:
    """Complaints are errors of the console and reports of the policy that the daemon sends."""
    with chromium.tab() as tab:
        open_page(tab.page, daemon)
        expect(tab.page.locator("#machine-aside")).to_contain_text(daemon.url)
        expect(tab.page.locator("#generations tbody tr")).to_have_count(1)
        began = time.monotonic()
        ask(daemon)
        expect(tab.page.locator("#rows tr").first).to_contain_text("claude-opus-4-8")
        assert time.monotonic() - began < 5
        expect(tab.page.locator("#rows tr").first.locator(".status")).to_have_text("200")
        expect(tab.page.locator("#verdict")).to_have_text("Anthropic serves")
        upstream.fail_next(401, times=1)
        ask(daemon)
        expect(tab.page.locator("#error-list li")).to_contain_text("Anthropic refused the credential (401).")
        assert tab.overflow() == 0
        tab.keep("real-daemon-1280-light")


def test_it_comes_back_over_a_reload_and_a_restart(chromium: Chromium) -> None:
    with (
        FakeAnthropic() as fake,
        Daemon(upstream=fake.url) as daemon,
        chromium.tab(expects=["Failed to load resource"]) as tab,
    ):
        open_page(tab.page, daemon)
        tab.page.get_by_role("button", name="Reload").click()
        expect(tab.page.locator("#result-words")).to_contain_text("Reloaded in")
        expect(tab.page.locator("#generations tbody th").first).to_have_text("2")
        expect(tab.page.locator("#connection")).to_have_text("live")
        ask(daemon)
        expect(tab.page.locator("#rows tr").first).to_contain_text("claude-opus-4-8")
        daemon.process.terminate()  # type: ignore[union-attr]
        daemon.wait()
        expect(tab.page.locator("#connection")).to_contain_text("no connection to the gateway since")
        daemon.spawn()
        daemon.wait_serving()
        expect(tab.page.locator("#connection")).to_have_text("live", timeout=20_000)
        rows = tab.page.locator("#rows tr").count()
        ask(daemon)
        expect(tab.page.locator("#rows tr")).to_have_count(rows + 1)


def test_a_window_without_a_session_is_told_how_to_get_one(daemon: Daemon, chromium: Chromium) -> None:
    with chromium.tab(expects=["401"]) as tab:
        tab.page.goto(f"{daemon.url}/gateway/")
        expect(tab.page.locator("body")).to_contain_text("claude-gatewayctl dashboard")
        assert tab.barriers() == []
        for width in (360, 1280):
            tab.page.set_viewport_size({"width": width, "height": 600})
            assert tab.overflow() == 0
            tab.keep(f"no-session-{width}-light")


def ask(daemon: Daemon) -> None:
    """Make one request, as Claude Code does."""
    Stage(None, None, daemon).ask()  # type: ignore[arg-type]
