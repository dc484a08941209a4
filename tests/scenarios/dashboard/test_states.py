"""What a real daemon's page shows in each state of the world, and that a keyboard is enough for it."""

import os
import signal
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.aws import FakeAws
from tests.fakes.aws_home import AwsHome
from tests.fakes.bedrock import FakeBedrock
from tests.support.browser import Chromium, Scheme, Tab
from tests.support.calls import post
from tests.support.daemon import Daemon, wait_until
from tests.support.pages import link_of, processes
from tests.support.stage import Stage, asking

CONFIG = "[router]\nnum_retries = 0\nallowed_fails = 100\n[litellm]\nload = 'lazy'\n"
PROFILE = "Sandbox.AdministratorAccess"
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
FOCUSED = """() => {
  const one = document.activeElement;
  return { name: one.innerText?.trim() || one.name || one.id, isBody: one === document.body };
}"""


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with (
        FakeAnthropic() as anthropic,
        FakeBedrock() as bedrock,
        Daemon(upstream=anthropic.url, config=CONFIG, environ=asking(bedrock, "direct")) as daemon,
    ):
        one = Stage(anthropic, bedrock, daemon)
        one.prove()
        yield one


def has_no_barrier(tab: Tab) -> None:
    """Hold that axe-core finds nothing serious, in both schemes, in a narrow and a wide window."""
    for scheme in SCHEMES:
        tab.page.emulate_media(color_scheme=scheme)
        for width in (360, 2560):
            tab.page.set_viewport_size({"width": width, "height": 900})
            assert tab.barriers() == [], (scheme, width)
            assert tab.overflow() == 0, (scheme, width)


def test_a_fallback_shows_who_serves_and_why(stage: Stage, chromium: Chromium) -> None:
    with chromium.tab() as tab:
        page = tab.opened(link_of(stage.daemon))
        stage.anthropic_is_down()
        try:
            assert stage.ask().headers["x-gateway-upstream"] == "bedrock"
            expect(page.locator("#verdict")).to_have_text("Bedrock serves")
            expect(page.locator("#verdict-why")).to_contain_text("Anthropic answers 529")
            first = page.locator("#rows tr").first
            expect(first.locator(".lane")).to_have_text("Bedrock: overloaded")
            expect(page.locator("#bedrock")).to_have_attribute("data-serving", "true")
            has_no_barrier(tab)
        finally:
            stage.anthropic.clear_faults()
        assert stage.ask().headers["x-gateway-upstream"] == "anthropic"
        expect(page.locator("#verdict")).to_have_text("Anthropic serves")


def test_a_limit_that_is_reached_shows(stage: Stage, chromium: Chromium) -> None:
    limited = Stage(stage.anthropic, stage.bedrock, stage.daemon)
    limited.prove()
    with chromium.tab() as tab:
        page = tab.opened(link_of(stage.daemon))
        limited.anthropic.limit_next()
        assert limited.ask().headers["x-gateway-upstream"] == "bedrock"
        expect(page.locator("#verdict")).to_have_text("Bedrock serves")
        expect(page.locator("#verdict-why")).to_contain_text("a limit of your subscription is reached")
        expect(page.locator("#rows tr").first.locator(".lane")).to_have_text("Bedrock: limit reached")
        expect(page.locator("#anthropic .circuits")).to_contain_text("limit reached")
        has_no_barrier(tab)


def test_a_login_that_is_needed_shows_with_its_command(chromium: Chromium) -> None:
    with FakeAws() as aws:
        daemon = Daemon(environ=aws.environ)
        home = AwsHome(daemon.home, aws)
        home.sso_session()
        home.sso_profile(PROFILE)
        with daemon, chromium.tab() as tab:
            page = tab.opened(link_of(daemon))
            expect(page.locator("#bedrock .state")).to_have_text("needs a login")
            expect(page.locator("#verdict-why")).to_contain_text("Bedrock cannot step in")
            expect(page.locator("#login-command code")).to_contain_text("claude-gatewayctl sso-login")
            expect(page.locator("#login-command button")).to_have_text("Copy")
            expect(page.get_by_role("button", name="Log in")).to_have_attribute("aria-disabled", "false")
            has_no_barrier(tab)


def test_with_the_keyboard_alone(stage: Stage, chromium: Chromium) -> None:
    """Each control of a real page is reached with Tab, and does what it says."""
    with chromium.tab(expects=["Failed to load resource"]) as tab:  # a reload ends the stream
        page = tab.opened(link_of(stage.daemon))
        stage.ask()
        expect(page.locator("#rows tr").first).to_be_visible()
        wanted = page.evaluate(
            """() => [...document.querySelectorAll("a[href], button, summary, input:checked, [tabindex='0']")]
              .filter((one) => one.checkVisibility()).length"""
        )
        before = stage.daemon.generation()["number"]
        seen: list[str] = []
        while True:
            page.keyboard.press("Tab")
            found = page.evaluate(FOCUSED)
            if found["isBody"] or len(seen) > 200:
                break
            seen.append(found["name"])
            match found["name"]:
                case "Pause":
                    page.keyboard.press("Enter")
                    expect(page.locator("#pause")).to_have_text("Resume")
                case "days":
                    page.keyboard.press("ArrowLeft")
                    expect(page.locator("#steps tbody tr")).to_have_count(24)
                case "by":
                    page.keyboard.press("ArrowRight")
                    expect(page.locator("#usage-title")).to_contain_text("and model")
                case "Check credentials":
                    page.keyboard.press("Space")
                    expect(page.locator("#result-words")).not_to_contain_text("Asking AWS")
                case "Defaults" | "The chart as a table":
                    page.keyboard.press("Space")
        assert len(seen) >= wanted, (wanted, seen)
        page.get_by_role("button", name="Reload").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#result-words")).to_contain_text(f"generation {before + 1} serves")
        assert page.evaluate(FOCUSED)["name"] == "Reload", "the focus stays where it was"


def test_what_is_killed_comes_back_by_itself(chromium: Chromium) -> None:
    with (
        FakeAnthropic() as fake,
        Daemon(upstream=fake.url) as daemon,
        chromium.tab(expects=["Failed to load resource"]) as tab,
    ):
        page = tab.opened(link_of(daemon))
        rows = page.locator("#rows tr")
        for of in (processes, Daemon.workers, processes):
            before = of(daemon)
            os.kill(before[0], signal.SIGKILL)
            wait_until(lambda of=of, before=before: of(daemon) and of(daemon) != before, describe=daemon.describe)
            wait_until(lambda: post(daemon.port)[0] == 200)
            expect(page.locator("#connection")).to_have_text("live")
            expect(rows.first.locator(".status")).to_have_text("200")
        os.kill(daemon.pid, signal.SIGKILL)
        for worker in daemon.workers():
            os.kill(worker, signal.SIGKILL)
        daemon.wait()
        expect(page.locator("#connection")).to_contain_text("no connection to the gateway since")
        daemon.spawn()
        daemon.wait_serving()
        expect(page.locator("#connection")).to_have_text("live")
