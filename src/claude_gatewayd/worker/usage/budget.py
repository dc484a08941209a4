"""The month's budget for Bedrock, and how much of it is spent. Pure."""

from typing import Final, Literal, NamedTuple

_NEAR: Final = 0.8


class BudgetState(NamedTuple):
    """How much of a month's budget is *spent*, in USD. A *limit* of 0 is none.

    *unpriced* requests count as nothing: their price is not known. *ends* is in seconds since the epoch.
    """

    limit: float
    spent: float
    unpriced: int
    month: str
    ends: float

    @property
    def reached(self) -> Literal[0, 80, 100]:
        """What is reached of it, in per cent: 80, or 100, from which on nothing falls back to Bedrock."""
        if not self.limit or self.spent < _NEAR * self.limit:
            return 0
        return 80 if self.spent < self.limit else 100


NO_BUDGET: Final = BudgetState(0.0, 0.0, 0, "", 0.0)
