"""Today's totals and the month's budget, in words."""

from typing import Any

import pytest

from claude_gatewayd.ctl.terminal import spending

USAGE: dict[str, Any] = {
    "requests": 0, "tokens": 0, "cost": 0.0, "billed": 0.0, "fallback_cost": 0.0, "unpriced": 0, "is_complete": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("usage", "today", "brief"),
    [
        ({}, "", ""),
        (
            {"requests": 1, "tokens": 950, "cost": 0.0123},
            "1 request, 950 tokens, $0.0123 at list price, not billed",
            "$0.0123 today, not billed",
        ),
        (
            {"requests": 1234, "tokens": 45_678_901, "cost": 41.2, "billed": 2.1, "fallback_cost": 1.9, "unpriced": 3},
            "1,234 requests, 45.7 M tokens, $41.20 at list price, $2.10 of it billed; fallback $1.90; "
            "3 without a known price",
            "$41.20 today, $2.10 of it billed",
        ),
        (
            {"requests": 2, "tokens": 2000, "cost": 1500.0, "billed": 1500.0, "is_complete": False},
            "2 requests, 2 k tokens, $1,500.00 at list price, $1,500.00 of it billed; "
            "since the last start: without the ledger",
            "$1,500.00 today",
        ),
    ],
)
def test_today(usage: dict[str, Any], today: str, brief: str) -> None:
    assert spending.today(USAGE | usage) == today
    assert spending.brief(USAGE | usage) == brief


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0"), (999, "999"), (1000, "1 k"), (999_499, "999 k"), (1_000_000, "1 M"), (12_345_678_901, "12.3 G")],
)
def test_tokens(count: int, expected: str) -> None:
    assert spending.tokens(count) == expected


@pytest.mark.parametrize(
    ("spent", "limit", "unpriced", "expected"),
    [
        (5.0, 0.0, 0, ""),
        (5.0, 50.0, 0, "$5.00 of $50.00 spent at Bedrock this month"),
        (
            50.0,
            50.0,
            2,
            "$50.00 of $50.00 spent at Bedrock this month: no more fallback; 2 without a known price count as nothing",
        ),
    ],
)
def test_budget(spent: float, limit: float, unpriced: int, expected: str) -> None:
    assert spending.budget({"bedrock_cost": spent, "budget": limit, "unpriced": unpriced}) == expected
