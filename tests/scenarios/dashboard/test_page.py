"""The page, in a real browser, with states that a fake has made up."""

import random
import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.fakes import dashboard_data as data
from tests.fakes.dashboard import FakeDashboard
from tests.support.browser import Chromium, Scheme

STATES: list[tuple[data.State, str]] = [
    ("empty", "Ready"),
    ("busy", "Anthropic serves"),
    ("fallback", "Bedrock serves"),
    ("limit-reached", "Bedrock serves"),
    ("login-needed", "Anthropic serves"),
    ("nobody-serves", "Nobody serves"),
    ("broken-configuration", "The configuration is invalid"),
]


def filled(state: data.State, number: int = 40) -> FakeDashboard:
    rows = data.rows(number, time.time(), fallback=state in ("fallback", "limit-reached"))
    return FakeDashboard(state, rows=[] if state == "empty" else rows)


def settle(page: Page) -> None:
    """Return when the page shows all that it reads at its start."""
    expect(page.locator("#connection")).to_contain_text("live")
    expect(page.locator("#history")).to_have_attribute("aria-busy", "false")
    expect(page.locator("#doctor-aside")).to_contain_text("examined")
    expect(page.locator("#configuration-set tbody tr").first).to_be_visible()


@pytest.mark.parametrize(("state", "verdict"), STATES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_state_shows_at_each_width_and_has_no_barrier(
    chromium: Chromium, state: data.State, verdict: str, scheme: Scheme
) -> None:
    with filled(state) as fake, chromium.tab(scheme=scheme) as tab:
        tab.page.goto(fake.url)
        settle(tab.page)
        expect(tab.page.locator("#verdict")).to_have_text(verdict)
        for width in (360, 768, 1280, 2560):
            tab.page.set_viewport_size({"width": width, "height": 900})
            assert tab.overflow() == 0
            tab.keep(f"{state}-{width}-{scheme}")
            if width == 1280 or (width == 360 and scheme == "light"):  # it takes seconds
                assert tab.barriers() == []


def test_a_row_appears_when_a_request_ends(chromium: Chromium) -> None:
    with filled("empty") as fake, chromium.tab() as tab:
        tab.page.goto(fake.url)
        expect(tab.page.locator("#no-rows")).to_be_visible()
        row = data.row(time.time(), 1, random.Random(3))
        fake.send("requests", [row])
        first = tab.page.locator("#rows tr").first
        expect(first).to_contain_text(row["model_asked"])
        expect(first.locator(".cost")).to_have_text(f"${row['cost']:.4f}")
        expect(first.locator(".first")).to_have_text(f"{row['first_event_ms'] / 1000:.2f} s")
        expect(tab.page.locator("#no-rows")).to_be_hidden()


def test_rows_are_the_newest_first_and_200_at_most(chromium: Chromium) -> None:
    rows = data.rows(730, time.time())
    with FakeDashboard("busy", rows=rows[:150]) as fake, chromium.tab() as tab:
        tab.page.goto(fake.url)
        expect(tab.page.locator("#rows tr")).to_have_count(150)
        for begin in range(100, 730, 90):  # some come twice, as after a reconnect
            fake.send("requests", rows[begin : begin + 90])
        fake.send("missed", {"requests": 1234})
        expect(tab.page.locator("#requests-count")).to_contain_text("the last 200")
        expect(tab.page.locator("#requests-count")).to_contain_text("1,234 not shown")
        expect(tab.page.locator("#rows tr")).to_have_count(200)
        shown = tab.page.locator("#rows td.took").all_inner_texts()
        assert shown == [f"{row['duration_ms'] / 1000:.2f} s" for row in reversed(rows[-200:])]


def test_a_pause_holds_rows_back_and_shows_them_after(chromium: Chromium) -> None:
    with filled("busy", 5) as fake, chromium.tab() as tab:
        tab.page.goto(fake.url)
        expect(tab.page.locator("#rows tr")).to_have_count(5)
        tab.page.get_by_role("button", name="Pause").click()
        fake.send("requests", data.rows(3, time.time() + 100, seed=4))
        expect(tab.page.locator("#requests-count")).to_have_text("paused, 3 new requests wait")
        expect(tab.page.locator("#rows tr")).to_have_count(5)
        tab.page.get_by_role("button", name="Resume").click()
        expect(tab.page.locator("#rows tr")).to_have_count(8)


def test_who_reads_further_down_stays_there(chromium: Chromium) -> None:
    with filled("busy", 100) as fake, chromium.tab() as tab:
        tab.page.goto(fake.url)
        expect(tab.page.locator("#rows tr")).to_have_count(100)
        row = tab.page.locator("#rows tr").nth(40)
        row.scroll_into_view_if_needed()
        handle = row.element_handle()
        before = handle.bounding_box()
        fake.send("requests", data.rows(30, time.time() + 300, seed=4))
        expect(tab.page.locator("#rows tr")).to_have_count(130)
        after = handle.bounding_box()
        assert before is not None
        assert after is not None
        assert abs(after["y"] - before["y"]) < 1


def test_nothing_jumps_while_it_updates(chromium: Chromium) -> None:
    with filled("busy") as fake, chromium.tab() as tab:
        tab.page.goto(fake.url)
        settle(tab.page)
        tab.page.evaluate(
            """new PerformanceObserver((list) => {
              for (const { value, sources } of list.getEntries()) for (const { node } of sources ?? [])
                if (node?.id !== "rows" && !node?.closest?.("#rows"))
                  (window.shifts ??= []).push(`${value} ${node?.id || node?.className || node?.nodeName}`);
            }).observe({type: "layout-shift"})"""
        )
        chance = random.Random(2)
        for number in range(30):
            fake.send("requests", [data.row(time.time(), 5000 + number, chance)])
            fake.send("status", fake.status())
            tab.page.wait_for_timeout(60)
        tab.page.emulate_media(color_scheme="dark")
        expect(tab.page.locator("#rows tr").nth(69)).to_be_attached()
        assert tab.page.evaluate("window.shifts ?? []") == []


def test_a_lost_connection_says_so_and_comes_back(chromium: Chromium) -> None:
    with filled("busy", 5) as fake, chromium.tab(expects=["Failed to load resource"]) as tab:
        tab.page.goto(fake.url)
        settle(tab.page)
        fake.go_away()
        connection = tab.page.locator("#connection")
        expect(connection).to_contain_text("no connection to the gateway since")
        expect(connection).to_be_in_viewport()
        expect(tab.page.get_by_role("button", name="Reload")).to_have_attribute("aria-disabled", "true")
        tab.keep("disconnected-1280-light")
        fake.rows = [*fake.rows, data.row(time.time(), 77, random.Random(3))]
        fake.come_back()
        expect(connection).to_have_text("live")
        expect(tab.page.locator("#rows tr")).to_have_count(6)
        expect(tab.page.get_by_role("button", name="Reload")).to_have_attribute("aria-disabled", "false")


def test_a_restart_is_not_noticed(chromium: Chromium) -> None:
    """As at a reload: the stream ends, and the next generation answers at once."""
    with filled("busy", 5) as fake, chromium.tab() as tab:
        tab.page.goto(fake.url)
        settle(tab.page)
        fake.cut()
        fake.send("requests", [data.row(time.time(), 77, random.Random(3))])
        expect(tab.page.locator("#rows tr")).to_have_count(6)
        expect(tab.page.locator("#connection")).to_have_text("live")


def test_an_ended_session_names_the_command_and_comes_back(chromium: Chromium) -> None:
    with filled("busy", 5) as fake, chromium.tab(expects=["401"]) as tab:
        tab.page.goto(fake.url)
        settle(tab.page)
        fake.is_logged_in = False
        fake.cut()
        expect(tab.page.locator("#connection")).to_contain_text("session has ended")
        expect(tab.page.locator("#connection code")).to_have_text("claude-gatewayctl dashboard")
        tab.keep("session-ended-1280-light")
        fake.is_logged_in = True
        expect(tab.page.locator("#connection")).to_have_text("live")


def test_the_buttons_say_what_came_of_them(chromium: Chromium) -> None:
    with filled("login-needed", 5) as fake, chromium.tab() as tab:
        tab.page.goto(fake.url)
        settle(tab.page)
        result = tab.page.get_by_role("status").filter(has=tab.page.locator("#result-words"))
        tab.page.get_by_role("button", name="Reload").click()
        expect(result).to_contain_text("generation 4 is serving")
        tab.page.get_by_role("button", name="Check credentials").click()
        expect(result).to_contain_text("AWS refused them")
        expect(result.locator("code")).to_have_text("claude-gatewayctl sso-login")
        tab.page.get_by_role("button", name="Log in").click()
        expect(result.get_by_role("link")).to_have_attribute("href", "https://device.sso.us-west-2.amazonaws.com/")
        expect(result).to_contain_text("ABCD-EFGH")
        tab.keep("login-1280-light")
        fake.send("login", {"state": "done", "message": "Logged in.", "url": "", "code": ""})
        expect(result).to_contain_text("Logged in.")
        assert fake.done == ["reload", "check-credentials", "log-in"]


def test_a_command_is_copied(chromium: Chromium) -> None:
    permissions = ["clipboard-read", "clipboard-write"]
    with filled("login-needed", 5) as fake, chromium.tab(permissions=permissions) as tab:
        tab.page.goto(fake.url)
        settle(tab.page)
        button = tab.page.locator("#login").get_by_role("button")
        button.click()
        expect(button).to_have_text("Copied")
        wanted = fake.status()["credentials"]["hint"]
        assert tab.page.evaluate("navigator.clipboard.readText()") == wanted
        expect(tab.page.locator("#announce")).to_have_text(f"Copied: {wanted}")


def test_the_keyboard_alone_reaches_everything(chromium: Chromium) -> None:
    with filled("login-needed") as fake, chromium.tab() as tab:
        tab.page.goto(fake.url)
        settle(tab.page)
        page = tab.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "now"
        seen: list[str] = []
        for _ in range(100):
            page.keyboard.press("Tab")
            found: dict[str, Any] = page.evaluate(
                """(() => {
                  const one = document.activeElement;
                  if (one === document.body) return { name: "" };
                  const name = one.innerText?.trim() || one.name || one.id;
                  const hasRing = (style) => style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
                  const places = [one, one.closest("fieldset") ?? one];
                  return { name, ring: places.some((place) => hasRing(getComputedStyle(place))) };
                })()"""
            )
            if not found["name"]:
                break  # once around
            assert found["ring"], found
            seen.append(found["name"])
            if found["name"] == "Pause":
                page.keyboard.press("Space")
                expect(page.locator("#pause")).to_have_attribute("aria-pressed", "true")
            if found["name"] == "days":
                page.keyboard.press("ArrowRight")
                expect(page.locator("input[value='30']")).to_be_checked()
            if found["name"] == "The chart as a table":
                page.keyboard.press("Enter")
                expect(page.locator("#steps tbody tr").first).to_be_visible()
        assert {"Copy", "Reload", "Check credentials", "Log in", "Pause", "days", "measure", "by"} <= set(seen)
        assert {"The chart as a table", "The time line as a table", "9 defaults"} <= set(seen)


@pytest.mark.parametrize("state", ["off", "unavailable"])
def test_without_a_ledger_the_live_part_is_there(chromium: Chromium, state: str) -> None:
    with filled("busy") as fake, chromium.tab() as tab:
        why = "recording is off" if state == "off" else "cannot read the ledger: another process keeps it locked"
        fake.history = {"state": state, "why": why, "hint": "claude-gatewayctl ledger check", "first_at": None}
        tab.page.goto(fake.url)
        expect(tab.page.locator("#history-note p")).to_have_text(
            "There is no history: recording is off. Requests above are still live."
            if state == "off"
            else "Cannot read the ledger: another process keeps it locked."
        )
        expect(tab.page.locator("#history-note code")).to_have_text("claude-gatewayctl ledger check")
        expect(tab.page.locator("#rows tr").first).to_be_visible()
        assert tab.barriers() == []
        tab.keep(f"ledger-{state}-1280-light")


@pytest.mark.parametrize("days", [1, 7, 30, 90])
def test_each_window_and_division_of_the_history_shows(chromium: Chromium, days: int) -> None:
    with filled("busy") as fake, chromium.tab() as tab:
        tab.page.goto(fake.url)
        settle(tab.page)
        tab.page.locator(f"input[name=days][value='{days}']").check(force=True)
        rows = tab.page.locator("#steps tbody tr")
        expect(rows).to_have_count(24 if days == 1 else days)
        for measure in ("cost", "tokens"):
            for by in ("upstream", "model", "project"):
                tab.page.locator(f"input[name=measure][value='{measure}']").check(force=True)
                tab.page.locator(f"input[name=by][value='{by}']").check(force=True)
                expect(tab.page.locator("#usage-title")).to_contain_text(by)
        assert tab.page.locator("canvas").count() == 2
        tab.keep(f"history-{days}-1280-light")


def test_without_motion_nothing_moves(chromium: Chromium) -> None:
    with filled("busy") as fake, chromium.tab(reduced_motion="reduce") as tab:
        tab.page.goto(fake.url)
        settle(tab.page)
        fake.send("requests", [data.row(time.time(), 9999, random.Random(1))])
        expect(tab.page.locator("#rows tr")).to_have_count(41)
        assert tab.page.evaluate("document.getAnimations().length") == 0


def test_hostile_and_endless_texts_stay_texts_and_in_their_place(chromium: Chromium) -> None:
    """The daemon's own texts are held by tests of the whole; this is what the page does with any."""
    hostile = "<img src=x onerror=alert(1)>\"'`;--></script>\u202egnp.exe\u2066\x1b[31m"
    endless = "W" * 5000
    rows = [
        data.row(time.time(), number, random.Random(number))
        | {"model_asked": text, "model_served": text, "project": text, "upstream": text, "fallback": text}
        | {"words": text, "status": 500, "cost": None}
        for number, text in enumerate((hostile, endless))
    ]
    with FakeDashboard("login-needed", rows=rows) as fake, chromium.tab() as tab:
        made = fake.status()
        for one in made["notices"]:
            one |= {"title": hostile + endless, "message": endless, "hint": f"echo '{hostile}{endless}'"}
        made["credentials"] |= {"source": endless, "why": hostile, "hint": endless}
        made["bedrock"] |= {"failure": endless, "last_failure": time.time()}
        made["config"]["path"] = made["address"] = made["ledger"]["database"] = f"/{endless}"
        made["circuits"] = [{"credential": hostile, "model": endless, "why": hostile, "until": int(time.time() + 60)}]
        tab.page.goto(fake.url)
        settle(tab.page)
        fake.send("status", made)
        fake.send("login", {"state": "running", "message": hostile, "url": "javascript:alert(1)", "code": hostile})
        expect(tab.page.locator("#rows tr")).to_have_count(2)
        expect(tab.page.locator("#result-words")).to_contain_text("<img src=x onerror=alert(1)>")
        expect(tab.page.locator("#rows tr").last).to_contain_text("<img src=x onerror=alert(1)>")
        assert tab.page.locator("img, iframe, #result a").count() == 0
        assert "\u202e" not in tab.page.locator("body").inner_text()
        for width in (360, 768, 1280, 2560):
            tab.page.set_viewport_size({"width": width, "height": 900})
            assert tab.overflow() == 0


def test_what_was_recorded_before_it_was_switched_off_is_shown(chromium: Chromium) -> None:
    with filled("busy") as fake, chromium.tab() as tab:
        fake.history = {"state": "off", "why": "recording is off", "hint": ""}
        tab.page.goto(fake.url)
        settle(tab.page)
        expect(tab.page.locator("#history-note")).to_contain_text(
            "Recording is off. Below is what was recorded before."
        )
        assert tab.page.locator("canvas").count() == 2


def test_a_wrong_configuration_says_where(chromium: Chromium) -> None:
    with filled("busy") as fake, chromium.tab() as tab:
        where, message = "/c/config.toml:2 [listen] port", "must be <b>a</b> number"
        problem = {"where": where, "message": message, "hint": "port = 47000"}
        fake.configuration = {"values": [], "problems": [problem]}
        tab.page.goto(fake.url)
        shown = tab.page.locator("#configuration-problems li")
        for text in (where, message, "port = 47000", "claude-gatewayctl config check"):
            expect(shown).to_contain_text(text)
        expect(tab.page.locator("#nothing-set")).to_be_hidden()
        assert tab.barriers() == []


def test_a_new_notice_is_announced_once(chromium: Chromium) -> None:
    with filled("busy", 5) as fake, chromium.tab() as tab:
        tab.page.goto(fake.url)
        settle(tab.page)
        expect(tab.page.locator("#announce")).to_be_empty()
        fake.be("login-needed")
        expect(tab.page.locator("#announce")).to_contain_text("Bedrock works until")
        tab.page.locator("#announce").evaluate("(node) => { node.textContent = ''; }")
        fake.be("login-needed")
        fake.send("requests", data.rows(1, time.time() + 60, seed=9))
        expect(tab.page.locator("#rows tr")).to_have_count(6)
        expect(tab.page.locator("#announce")).to_be_empty()


def test_a_fallback_of_this_moment_is_in_sight(chromium: Chromium) -> None:
    with filled("busy", 5) as fake, chromium.tab() as tab:
        now = time.time()
        span = {"begin": now - 2, "end": now, "requests": 1, "cost": 0.1, "reason": "limit"}
        reason = {"reason": "limit", "requests": 1, "cost": 0.1}
        fake.history = {"fallbacks": {"reasons": [reason], "line": [span]}}
        tab.page.goto(fake.url)
        settle(tab.page)
        track, mark = tab.page.locator(".track").bounding_box(), tab.page.locator(".track span").bounding_box()
        assert track is not None
        assert mark is not None
        assert mark["width"] >= 3
        assert mark["x"] + mark["width"] <= track["x"] + track["width"] + 0.5
