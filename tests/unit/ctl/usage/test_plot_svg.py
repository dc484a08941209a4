"""ctl/usage/plot_svg.py: a file that needs no other, and that a screen reader can read."""

import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from rich.cells import cell_len

from claude_gatewayd.ctl.usage import bars, plot_svg
from claude_gatewayd.ledger.reports.results import By, UsageReport, UsageRow, UsageSums
from tests.unit.ctl.usage.reports import BEGIN, BERLIN, report

SVG = "{http://www.w3.org/2000/svg}"


def drawn(
    by: By, names: tuple[str, str] = ("a", "b"), *, of: UsageReport | None = None
) -> tuple[str, ElementTree.Element]:
    text = plot_svg.drawn(bars.of(of or report(by, names), BERLIN), "what it shows")
    return text, ElementTree.fromstring(text)


def texts(root: ElementTree.Element) -> list[tuple[float, float, float, str]]:
    """Return each text with where it begins, where it ends in a wide font (8 for a cell of 13 px), and its height."""
    found = []
    for one in root.iter(f"{SVG}text"):
        words, at = one.text or "", float(one.attrib["x"])
        wide = cell_len(words) * 8 * float(one.get("font-size", "13")) / 13
        begin = at - wide * {"end": 1.0, "middle": 0.5}.get(one.get("text-anchor", ""), 0.0)
        found.append((begin, begin + wide, float(one.attrib["y"]), words))
    return found


def hours(number: int, cost: float = 1.0) -> UsageReport:
    rows = tuple(
        UsageRow("", UsageSums(requests=1, api=cost * (1 + at % 5)), BEGIN + 3600 * at) for at in range(number)
    )
    return replace(report("hour"), rows=rows)


@pytest.mark.parametrize(
    "of",
    [
        report("model", ("x" * 100, "東" * 60)),
        *(hours(number) for number in (1, 2, 7, 8, 9, 24, 72, 168, 2000)),
        hours(3, 1e9), hours(3, 1e-7), replace(report(), rows=()),
    ],
)  # fmt: skip
def test_words_are_inside_and_not_on_each_other(of: UsageReport) -> None:
    _, root = drawn(of.by, of=of)
    found = texts(root)
    width = float(root.attrib["viewBox"].split()[2])
    assert [words for begin, end, _, words in found if begin < 0 or end > width] == []
    for height in {y for _, _, y, _ in found}:
        line = sorted(one for one in found if one[2] == height)
        assert all(before[1] < after[0] for before, after in pairwise(line)), line


@pytest.mark.parametrize(
    ("most", "axis"),
    [
        (15.71, [0, 5, 10, 15, 20]), (1, [0, 0.25, 0.5, 0.75, 1]), (0.03, [0, 0.01, 0.02, 0.03]),
        (8.76e9, [0, 2.5e9, 5e9, 7.5e9, 10e9]), (43.75, [0, 20, 40, 60]),
    ],
)  # fmt: skip
def test_the_axis_has_round_values(most: float, axis: list[float]) -> None:
    assert plot_svg.axis(most) == pytest.approx(axis)


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
    text, root = drawn("model", (name, "\uffff👩\u200d👧"))
    assert "<script" not in text
    assert "👩\u200d👧" in text
    assert text.encode()
    assert any("<script>" in (title.text or "") for title in root.iter(f"{SVG}title"))


def test_nothing_is_an_empty_plot() -> None:
    of = replace(report(), rows=(), total=UsageSums())
    text = plot_svg.drawn(bars.of(of, BERLIN), "nothing")
    ElementTree.fromstring(text)
    assert "Nothing was used in that time." in text
