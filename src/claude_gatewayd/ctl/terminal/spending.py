"""What was used today and this month, in words: for `status` and for the status line."""

from collections.abc import Mapping
from typing import Any

_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def dollars(amount: float) -> str:
    """Return an amount in USD; a small one to a hundredth of a cent."""
    return f"${amount:,.4f}" if 0 < amount < 0.1 else f"${amount:,.2f}"


def tokens(count: int) -> str:
    """Return a number of tokens, to three digits."""
    for size, unit in _UNITS:
        if count >= size:
            return f"{count / size:.3g} {unit}" if count < 999.5 * size else f"{count / size:,.0f} {unit}"
    return str(count)


def today(usage: Mapping[str, Any]) -> str:
    """Return what was used today, and what of it is billed; "" for nothing."""
    if not usage["requests"]:
        return ""
    count = f"{usage['requests']:,} request{'' if usage['requests'] == 1 else 's'}"
    parts = [f"{count}, {tokens(usage['tokens'])} tokens, {dollars(usage['cost'])} at list price, {_billed(usage)}"]
    if usage["fallback_cost"]:
        parts.append(f"fallback {dollars(usage['fallback_cost'])}")
    if usage["unpriced"]:
        parts.append(f"{usage['unpriced']:,} without a known price")
    if not usage["is_complete"]:
        parts.append("since the last start: without the ledger")
    return "; ".join(parts)


def brief(usage: Mapping[str, Any]) -> str:
    """Return what today costs; "" where nothing was used."""
    if not usage["cost"]:
        return ""
    amount = f"{dollars(usage['cost'])} today"
    return amount if usage["billed"] >= usage["cost"] else f"{amount}, {_billed(usage)}"


def budget(month: Mapping[str, Any]) -> str:
    """Return how much of the month's budget is spent; "" without one."""
    if not month["budget"]:
        return ""
    spent = f"{dollars(month['bedrock_cost'])} of {dollars(month['budget'])} spent at Bedrock this month"
    reached = ": no more fallback" if month["bedrock_cost"] >= month["budget"] else ""
    unpriced = f"; {month['unpriced']:,} without a known price count as nothing" if month["unpriced"] else ""
    return spent + reached + unpriced


def _billed(usage: Mapping[str, Any]) -> str:
    return f"{dollars(usage['billed'])} of it billed" if usage["billed"] else "not billed"
