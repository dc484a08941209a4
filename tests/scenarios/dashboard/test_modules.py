"""The page's pure functions, in the browser that runs them: tables."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.fakes import dashboard_data as data
from tests.fakes.dashboard import FakeDashboard
from tests.support.browser import Chromium

NOW = 1_796_003_672.0  # Monday, 30 November 2026, 02:54:32 in Berlin
Call = Callable[..., Any]


@pytest.fixture(scope="module")
def call(chromium: Chromium) -> Iterator[Call]:
    """Return what calls a function of a module."""
    with FakeDashboard("empty") as fake, chromium.tab() as tab:
        tab.page.goto(fake.url)

        def call(module: str, name: str, *arguments: Any) -> Any:
            code = "async ([file, name, given]) => (await import(file))[name](...given)"
            return tab.page.evaluate(code, [f"/gateway/static/{module}.js", name, list(arguments)])

        yield call


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("clock", (NOW, NOW), "02:54"),
        ("clock", (NOW, NOW, {"seconds": True}), "02:54:32"),
        ("clock", (NOW - 3 * 3600, NOW), "29 Nov 23:54"),
        ("clock", (NOW - 365 * 86400, NOW), "30 Nov 2025 02:54"),
        ("clock", (NOW + 86400, NOW), "1 Dec 02:54"),
        ("duration", (0,), "0 s"),
        ("duration", (59.9,), "59 s"),
        ("duration", (60,), "1 min 0 s"),
        ("duration", (3 * 86400 + 4 * 3600 + 59,), "3 d 4 h"),
        ("duration", (-5,), "0 s"),
        ("compact", (0,), "0"),
        ("compact", (999,), "999"),
        ("compact", (1000,), "1.00k"),
        ("compact", (12_345,), "12.3k"),
        ("compact", (999_499,), "999k"),
        ("compact", (999_950,), "1.00M"),
        ("compact", (51_482_120,), "51.5M"),
        ("compact", (3_580_000_000,), "3.58G"),
        ("usd", (None,), "–"),
        ("usd", (0,), "$0.00"),
        ("usd", (0.00041,), "$0.0004"),
        ("usd", (1234.5,), "$1,234.50"),
        ("usdFine", (0.13831,), "$0.1383"),
        ("usdRound", (1020.4,), "$1,020"),
        ("percent", (0.94712,), "94.7 %"),
        ("percent", (None,), "–"),
        ("seconds", (812.4,), "0.81 s"),
        ("seconds", (None,), "–"),
        ("month", ("2026-11",), "November 2026"),
        ("upstream", ("anthropic",), "Anthropic"),
        ("upstream", ("<b>new</b>",), "<b>new</b>"),
        ("reason", ("limit",), "limit reached"),
        ("project", ("/home/ada/src/loom",), "loom"),
        ("project", ("",), ""),
        ("project", ("/",), "/"),
    ],
)
def test_numbers_and_times_are_as_a_person_reads_them(
    call: Call, name: str, arguments: tuple[Any, ...], text: str
) -> None:
    assert call("format", name, *arguments) == text


def changed(base: data.State, /, **parts: Any) -> dict[str, Any]:
    """Return a status, with some of its fields changed."""
    made = data.status(base, NOW)
    for name, value in parts.items():
        made[name] = made[name] | value if isinstance(value, dict) else value
    return made


SKIPPED = [{"credential": "6da2", "model": "claude-opus-4-8", "why": "529", "until": int(NOW + 60)}]


@pytest.mark.parametrize(
    ("status", "tone", "title", "why"),
    [
        (changed("empty"), "idle", "Ready", "Bedrock is off: no AWS profile is configured."),
        (changed("busy"), "ok", "Anthropic serves", "Bedrock is ready to step in."),
        (changed("busy", circuits=SKIPPED), "warn", "Bedrock serves in part", "for 1 model at the moment (529)"),
        (
            changed("busy", circuits=SKIPPED, bedrock={"enabled": False, "why": "x"}),
            *("bad", "Anthropic is failing", "for 1 model"),
        ),
        (
            changed("busy", anthropic={"state": "failing", "failure": "answered 529"}),
            *("warn", "Anthropic is failing", "The last answer: answered 529."),
        ),
        (changed("limit-reached"), "warn", "Bedrock serves", "a limit of your subscription is reached."),
        (changed("login-needed"), "ok", "Anthropic serves", "Bedrock can step in until 03:05."),
        (
            changed("login-needed", credentials={"works_until": NOW - 5}),
            *("ok", "Anthropic serves", "Bedrock cannot step in: the SSO session has ended"),
        ),
        (
            changed("busy", bedrock={"unreachable": "the certificate is not trusted"}),
            *("ok", "Anthropic serves", "Bedrock cannot step in: the certificate is not trusted."),
        ),
        (changed("nobody-serves"), "bad", "Nobody serves", "Neither Anthropic nor Bedrock answers"),
        (changed("broken-configuration"), "bad", "The configuration is invalid", "Callers are refused"),
        (changed("busy", state="waiting"), "bad", "The configuration is invalid", "Callers wait"),
        (changed("busy", state="recovering"), "warn", "The gateway is recovering", "Callers wait"),
        (changed("busy", state="stopping"), "warn", "The gateway is stopping", ""),
        (changed("busy", state="of a later version"), "warn", "of a later version", ""),
    ],
)
def test_who_serves_and_why(call: Call, status: dict[str, Any], tone: str, title: str, why: str) -> None:
    found = call("verdict", "verdict", status, NOW)
    assert (found["tone"], found["title"]) == (tone, title)
    assert why in found["why"]


def test_marks_on_the_time_line_are_few_and_none_is_lost(call: Call) -> None:
    spans = [{"begin": at, "end": at + 3.0, "requests": 1} for at in range(0, 9000, 10)]
    found = call("timeline", "merged", spans, 0, 9000)
    assert sum(one["requests"] for one in found) == 900
    assert len(found) <= 240
    assert all(0 <= one["left"] <= 1 and one["left"] + one["width"] <= 1.001 for one in found)
    apart = [{"begin": 100.0, "end": 200.0, "requests": 2}, {"begin": 5000.0, "end": 9999.0, "requests": 1}]
    assert [one["left"] for one in call("timeline", "merged", apart, 0, 10_000)] == [0.01, 0.5]
    assert call("timeline", "merged", [{"begin": -9.0, "end": -5.0, "requests": 1}], 0, 10) == []
