"""What a page shows beside what happens now: the history, the configuration, and doctor's findings."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.support.calls import post
from tests.support.daemon import Daemon, wait_until
from tests.support.pages import Browser

CANARY = "canary-secret"
HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture(scope="module")
def own(upstream: FakeAnthropic) -> Iterator[Daemon]:
    config = (
        f'[network]\nproxy = "http://me:{CANARY}@127.0.0.1:9"\n'
        f'[notify]\ncommand = "true {CANARY}"\n'
        "[ledger]\nkeep_days = 400\n"
    )
    with Daemon(upstream=upstream.url, config=config) as one:
        yield one


@pytest.fixture(scope="module")
def page(own: Daemon) -> Browser:
    return Browser.of(own)


def history(browser: Browser, query: str = "") -> dict[str, Any]:
    answer = browser.get(f"/gateway/history?{query}")
    assert (answer.status, answer.header("content-type")) == (200, "application/json")
    document: dict[str, Any] = answer.document
    return document


def test_a_request_is_in_the_history_within_seconds(daemon: Daemon, browser: Browser) -> None:
    before = history(browser, "days=1")
    assert post(daemon.port, headers={"x-gateway-project": HOSTILE})[0] == 200
    wait_until(lambda: history(browser, "days=1")["total"]["requests"] > before["total"]["requests"])
    for days, steps in ((1, 24), (7, 7), (30, 30), (90, 90)):
        wait_until(lambda days=days: HOSTILE in [row["key"] for row in history(browser, f"days={days}")["projects"]])
        found = history(browser, f"days={days}&zone=Asia/Kathmandu")
        assert (found["state"], found["days"], len(found["steps"]), found["zone"]) == (
            "ok",
            days,
            steps,
            "Asia/Kathmandu",
        )
        assert found["steps"][-1]["requests"] >= 1
        assert sum(step["requests"] for step in found["steps"]) == found["total"]["requests"]
        assert found["latencies"][0]["duration"]["requests"] >= 1


def test_it_agrees_with_usage(daemon: Daemon, browser: Browser) -> None:
    assert post(daemon.port)[0] == 200

    def read(document: str) -> list[Any]:
        found = json.loads(document, parse_float=lambda text: round(float(text), 9))
        return [found[name] for name in ("total", "month", "latencies", "unpriced_models")]

    def agree() -> bool:
        usage = daemon.ctl("usage", "--json", "--since", "7d").stdout
        return read(usage) == read(browser.get("/gateway/history?days=7").text)

    wait_until(agree)


def test_where_each_value_comes_from_and_no_secret(own: Daemon, page: Browser) -> None:
    answer = page.get("/gateway/configuration")
    assert answer.status == 200
    assert CANARY not in answer.text
    values = {one["key"]: one for one in answer.document["values"]}
    assert values["ledger.keep_days"]["value"] == "400"
    assert values["ledger.keep_days"]["source"].startswith("config.toml:")
    assert values["network.proxy"]["value"] == '"http://***@127.0.0.1:9"'
    assert (values["notify.command"]["is_secret"], answer.document["path"]) == (True, str(own.config_file))


def test_what_doctor_finds(own: Daemon, page: Browser) -> None:
    begun = time.time()
    assert page.get("/gateway/findings").document["state"] in ("running", "done")
    wait_until(lambda: page.get("/gateway/findings").document["state"] == "done", seconds=70)
    answer = page.get("/gateway/findings")
    found = answer.document
    assert CANARY not in answer.text
    assert "doctor" not in {one["check"] for one in found["findings"]}, "it has failed itself"
    assert begun <= found["at"] <= time.time()
    assert {one["check"] for one in found["findings"]} >= {"daemon"}
    assert all(one.keys() == {"check", "state", "found", "why", "mend", "fixable"} for one in found["findings"])


def test_without_a_session_there_is_none_of_it(daemon: Daemon) -> None:
    stranger = Browser(daemon)
    for path in ("history", "configuration", "findings"):
        assert stranger.get(f"/gateway/{path}").status == 401


def test_without_a_ledger_it_says_how_to_have_one(upstream: FakeAnthropic) -> None:
    with Daemon(upstream=upstream.url, config="[ledger]\nenabled = false\n") as off:
        found = history(Browser.of(off))
    assert (found["state"], found["hint"]) == ("off", "claude-gatewayctl config set ledger.enabled true --reload")
    assert (found["total"]["requests"], len(found["steps"])) == (0, 30)
