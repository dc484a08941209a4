"""ctl/usage/plot_svg.py: a file that needs no other, and that a screen reader can read."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from claude_gatewayd.ctl.usage import bars, plot_svg
from claude_gatewayd.ledger.reports.results import By, UsageSums
from tests.unit.ctl.usage.reports import BERLIN, report

SVG = "{http://www.w3.org/2000/svg}"


def drawn(by: By, names: tuple[str, str] = ("a", "b")) -> tuple[str, ElementTree.Element]:
    text = plot_svg.drawn(bars.of(report(by, names), BERLIN), "what it shows")
    return text, ElementTree.fromstring(text)


@pytest.mark.parametrize("by", ["day", "hour", "model"])
def test_it_is_whole_and_has_its_words(by: By) -> None:
    text, root = drawn(by)
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "title description"
    assert [root[at].text for at in (0, 1)] == [f"Cost by {by}, in US dollars", "what it shows"]
    assert not re.findall(r"(?:href|src|url|@import|<script)", text)
    titles = [title.text for title in root.iterfind(f"{SVG}g/{SVG}title")]
    assert titles[0] is not None
    assert titles[0].endswith(": $43.75")
    assert len(titles) == {"day": 3, "hour": 3, "model": 2}[by]


@pytest.mark.parametrize("by", ["day", "model"])
def test_everything_is_inside(by: By) -> None:
    _, root = drawn(by)
    width, height = (float(number) for number in root.attrib["viewBox"].split()[2:])
    for one in root.iter(f"{SVG}rect"):
        x, y, wide, high = (float(one.attrib[name]) for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + wide <= width
        assert 0 <= y <= y + high <= height


def test_bars_are_as_long_as_what_they_stand_for() -> None:
    _, root = drawn("model")
    billed, subscription = (
        next(one for one in root.iter(f"{SVG}rect") if one.get("class") == kind and float(one.attrib["x"]) > 200)
        for kind in ("first", "second")
    )
    assert float(billed.attrib["width"]) / float(subscription.attrib["width"]) == pytest.approx(3.75 / 40, rel=0.01)


def test_hostile_names_stay_text() -> None:
    name = "</title><script>alert(1)</script>&\x00\x1b\ud800"
    text, root = drawn("model", (name, "b"))
    assert "<script" not in text
    assert text.encode()
    assert any("<script>" in (title.text or "") for title in root.iter(f"{SVG}title"))


def test_nothing_is_an_empty_plot() -> None:
    of = replace(report(), rows=(), total=UsageSums())
    ElementTree.fromstring(plot_svg.drawn(bars.of(of, BERLIN), "nothing"))
