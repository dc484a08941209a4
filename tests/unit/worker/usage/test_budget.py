"""What is reached of a budget."""

import pytest

from claude_gatewayd.worker.usage.budget import NO_BUDGET, BudgetState


@pytest.mark.parametrize(
    ("limit", "spent", "reached"),
    [
        (0.0, 1e9, 0),
        (10.0, 0.0, 0),
        (10.0, 7.99, 0),
        (10.0, 8.0, 80),
        (10.0, 9.999, 80),
        (10.0, 10.0, 100),
        (10.0, 1e9, 100),
    ],
)
def test_reached(limit: float, spent: float, reached: int) -> None:
    assert BudgetState(limit, spent, 0, "2026-11", 0.0).reached == reached


def test_no_budget() -> None:
    assert NO_BUDGET.reached == 0
