"""ctl/usage/figures.py."""

import pytest

from claude_gatewayd.ctl.usage import figures


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (9999, "9,999"), (10_000, "10.0k"), (12_345, "12.3k"), (99_960, "100k"), (999_499, "999k"),
     (999_500, "1.00M"), (1_234_567, "1.23M"), (999_999_999, "1.00B"), (2_970_000_000, "2.97B"), (7 * 10**15, "7000T")],
)  # fmt: skip
def test_tokens_in_three_digits(number: int, text: str) -> None:
    assert figures.short(number) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "$0.00"),
        (0.00004, "<$0.0001"),
        (0.00361, "$0.0036"),
        (0.005, "$0.01"),
        (0.0151, "$0.02"),
        (1234.5, "$1,234.50"),
    ],
)
def test_dollars(amount: float, text: str) -> None:
    assert figures.dollars(amount) == text


def test_the_rest() -> None:
    assert [figures.about(amount) for amount in (0.0, 9.99, 10.4, 1234.5)] == ["$0.00", "$9.99", "$10", "$1,234"]
    assert [figures.percent(share) for share in (None, 0, 0.9456, 1)] == ["–", "0.0%", "94.6%", "100.0%"]
    assert [figures.seconds(one) for one in (1, 94, 1098.1, 22615)] == ["0.00", "0.09", "1.1", "23"]
