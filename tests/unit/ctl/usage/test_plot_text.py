"""ctl/usage/plot_text.py, and bars.py: lines that a pipe can have."""

from dataclasses import replace

import pytest

from claude_gatewayd.ctl.usage import bars, plot_text
from claude_gatewayd.ledger.reports.results import UsageRow, UsageSums
from tests.unit.ctl.usage.reports import BERLIN, report


def test_days_in_between_are_there() -> None:
    assert plot_text.drawn(bars.of(report(), BERLIN), 60, "utf-8", in_colour=False) == (
        "Cost by day, in US dollars\n"
        "█ billed  ░ subscription at list price, not billed\n"
        "Fri 27 Nov  ███░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░ $43.75\n"
        "Sat 28 Nov  $0.00\n"
        "Sun 29 Nov  ░ $0.0010"
    )


def test_hours_in_between_are_there() -> None:
    assert [bar.label for bar in bars.of(report("hour"), BERLIN).bars] == [
        f"Fri 27 Nov 0{hour}:00" for hour in range(3)
    ]


def test_tokens_where_nothing_has_a_price() -> None:
    free = UsageSums(requests=1, input_tokens=300, output_tokens=100, unpriced=1)
    of = replace(report("model"), rows=(UsageRow("mine", free),), total=free)
    assert plot_text.drawn(bars.of(of, BERLIN), 40, "utf-8", in_colour=False).splitlines() == [
        "Tokens by model", "█ prompts  ░ answers", "mine  ██████████████████████░░░░░░░ 400",
    ]  # fmt: skip


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_lines_fit(width: int) -> None:
    plot = plot_text.drawn(bars.of(report("model", ("m" * 99, "東" * 99)), BERLIN), width, "utf-8", in_colour=False)
    assert max(map(len, plot.splitlines()[2:])) <= width


def test_colours_and_hostile_names() -> None:
    plot = plot_text.drawn(bars.of(report("model", ("\x1b[2J", "b")), BERLIN), 80, "utf-8", in_colour=True)
    assert "\x1b[2J" not in plot
    assert "\x1b[36m█" in plot


def test_nothing_is_no_plot() -> None:
    of = replace(report(), rows=(), total=UsageSums())
    assert plot_text.drawn(bars.of(of, BERLIN), 80, "utf-8", in_colour=False).splitlines()[1:] == [
        "Nothing was used in that time."
    ]


def test_an_encoding_without_blocks_has_signs() -> None:
    plot = plot_text.drawn(bars.of(report(), BERLIN), 40, "ascii", in_colour=False)
    assert plot.isascii()
    assert "##--" in plot
