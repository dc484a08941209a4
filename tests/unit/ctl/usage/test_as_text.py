"""ctl/usage/as_text.py: what a person reads."""

from dataclasses import replace

import pytest

from claude_gatewayd.ctl.usage import as_text
from claude_gatewayd.ledger.reports.results import UsageReport
from tests.unit.ctl.usage.reports import BEGIN, BERLIN, BUSY, MONTH, NOW, QUIET, report


def text(of: UsageReport, width: int = 80, whose: str = "") -> str:
    return as_text.text(of, whose, NOW, width, BERLIN, in_colour=False)


def test_the_whole_text_at_120() -> None:
    assert (
        text(report(), 120)
        == """\
Usage by day, Fri 27 Nov 2026 to now, Sun 29 Nov 14:24 (Europe/Berlin)

                                                   input  output  cache  cache  cache          subscription,
day         requests  failed  aborted  fallbacks  tokens  tokens   read  write   hits  billed     not billed
Fri 27 Nov     1,234       5        2          7   1,000   56.8k  9.00M   250k  97.3%   $3.75         $40.00
Sun 29 Nov         1       0        0          0       3       4      0      0   0.0%   $0.00        $0.0010
total          1,235       5        2          7   1,003   56.8k  9.00M   250k  97.3%   $3.75         $40.00

  billed       $3.75: API key $1.50, AWS $2.25
  fallback     $2.00 of that, for 7 requests that Bedrock answered in Anthropic's place
  subscription worth $40.00 at list price; this is not billed
  cache        97.3% of the prompts' tokens were read from it
  November     $3.75 billed so far, about $13 by its end; subscription worth about $99. Estimated by the average of the
               last 14 whole days

fallbacks  requests   cost
limit             6  $1.50
timeout           1  $0.50

seconds                  requests   p50  p90  p99
anthropic, first event      1,200  0.81  1.9  4.3
anthropic, whole answer     1,228   6.5   21   80
bedrock, whole answer           7  0.90  1.0  1.1"""
    )


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_it_fits_the_terminal(width: int) -> None:
    for by in ("day", "hour", "model", "session", "project"):
        shown = text(report(by, ("name/" * 20, "short")), width)
        assert max(map(len, shown.splitlines())) <= max(width, 44), by


def test_what_is_left_out_is_said() -> None:
    assert "not shown, as the terminal is narrow: " in text(report(), 60)
    assert "not shown" not in text(report(), 120)
    assert "20 more days in the total: usage --limit 22" in text(replace(report(), more_rows=20))


def test_a_person_hears_how_to_name_a_project() -> None:
    nobody = report("project", ("", ""))
    assert text(replace(nobody, rows=nobody.rows[:1]), 200).endswith(
        "\n\nClaude Code does not name its project; the header x-gateway-project does: docs/ledger.md"
    )
    assert "x-gateway-project" not in text(report("project", ("thesis", "")), 200)


def test_what_has_no_price_has_no_cost_rather_than_none() -> None:
    of = report("model", ("mine", "theirs"))
    known, unknown = of.rows
    shown = text(replace(of, rows=(known, replace(unknown, sums=replace(QUIET, unpriced=1, subscription=0.0)))), 200)
    [mine, theirs] = [line.split()[-2:] for line in shown.splitlines() if line.startswith(("mine ", "theirs "))]
    assert (mine, theirs) == (["$3.75", "$40.00"], ["–", "–"])


@pytest.mark.parametrize("width", [40, 80])
def test_what_to_paste_for_a_price_is_on_one_line(width: int) -> None:
    names = ("a model; rm -rf", *(f"made-up-{number}" for number in range(300)))
    shown = text(replace(report(), total=replace(BUSY, unpriced=1), unpriced_models=names), width)
    assert "\n               claude-gatewayctl config set 'ledger.prices.a model; rm -rf' 'input = 3, output" in shown
    words = " ".join(shown.split())
    assert "1 request is in no cost: a model; rm -rf, made-up-0, " in words
    assert "made-up-8 and 291 more. To set a price " in words


def test_no_price_and_too_little_data() -> None:
    of = replace(
        report(), total=replace(BUSY, unpriced=1042), unpriced_models=("mine", ""),
        month=replace(MONTH, billed_estimate=None, subscription_estimate=None),
    )  # fmt: skip
    shown = text(of, 200)
    assert (
        "no price     1,042 requests are in no cost: mine, (no model). To set a price for those to come, in USD per "
        "million tokens:\n               claude-gatewayctl config set ledger.prices.mine 'input = 3, output = 15'\n"
    ) in shown
    assert "November     $3.75 billed so far; an estimate needs 3 whole days of records" in shown


def test_a_time_without_use() -> None:
    of = replace(report(), rows=(), first_at=BEGIN + 60, others=("grace@desk",))
    assert (
        text(of, whose="ada@laptop")
        == """\
Usage by day, Fri 27 Nov 2026 to now, Sun 29 Nov 14:24 (Europe/Berlin),
ada@laptop

Nothing was used in that time.

The ledger begins Fri 27 Nov 2026 00:01.
Not counted: grace@desk. Everybody in this database: usage --all"""
    )


def test_rows_without_a_name_have_one() -> None:
    assert "(no project)" in text(report("project", ("", "thesis")))
    assert "none" in text(report("upstream", ("none", "anthropic")))


def test_names_from_outside_cannot_act_on_the_terminal() -> None:
    hostile = "\x1b]0;x\x07\x1b[2J\r\nfake total"
    of = replace(report("model", (hostile, hostile)), unpriced_models=(hostile,), others=(hostile,), more_rows=1)
    shown = text(replace(of, total=replace(BUSY, unpriced=1)), 300, whose=hostile)
    assert "\x1b" not in shown
    assert "\r" not in shown
    assert not [line for line in shown.splitlines() if line.startswith("fake")]
