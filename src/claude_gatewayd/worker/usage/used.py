"""What some requests have used, as totals and budget need it. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from claude_gatewayd.ledger.sums import KINDS, quarter_of
from claude_gatewayd.ledger.usage_record import UsageRecord


class Used(NamedTuple):
    """Sums over requests that use tokens; costs in USD, at list price.

    *billed* is what somebody is billed for: not so a subscription's. *fallback* is what Bedrock's answers in
    Anthropic's place cost, *aws* all that the AWS account pays. The price of *unpriced* requests is not known.
    """

    requests: int = 0
    tokens: int = 0
    cost: float = 0.0
    billed: float = 0.0
    fallback: float = 0.0
    aws: float = 0.0
    unpriced: int = 0
    aws_unpriced: int = 0


NOTHING: Final = Used()
_NOT_BILLED: Final = ("subscription", "")
ByQuarter = Mapping[int, Used]

# The same of `schema.quarters`, for one gateway; a zone's days all begin with a quarter of an hour.
COLUMNS: Final = (
    "SUM(requests)",
    "SUM(input_tokens + output_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens)",
    "SUM(cost)",
    "SUM(CASE WHEN billing IN ('subscription', '') THEN 0 ELSE cost END)",
    "SUM(CASE WHEN fallback = '' THEN 0 ELSE cost END)",
    "SUM(CASE WHEN billing = 'aws' THEN cost ELSE 0 END)",
    "SUM(unpriced)",
    "SUM(CASE WHEN billing = 'aws' THEN unpriced ELSE 0 END)",
)


def add(sums: dict[int, Used], records: Iterable[UsageRecord]) -> None:
    """Add requests to what was used in each quarter of an hour. Those that use no tokens are left out."""
    fresh: dict[int, list[UsageRecord]] = defaultdict(list)
    for record in records:
        if record.kind in KINDS:
            fresh[quarter_of(record.started_at)].append(record)
    for quarter, some in fresh.items():
        sums[quarter] = added(sums.get(quarter, NOTHING), _sum(some))


def _sum(records: Sequence[UsageRecord]) -> Used:
    tokens, unpriced, aws_unpriced = 0, 0, 0
    total = billed = fallback = aws = 0.0
    for record in records:
        tokens += (
            record.input_tokens
            + record.output_tokens
            + record.cache_read_tokens
            + record.cache_write_5m_tokens
            + record.cache_write_1h_tokens
        )
        cost, billing = record.cost, record.billing
        if cost is None:
            unpriced += 1
            aws_unpriced += billing == "aws"
            continue
        total += cost
        if billing == "aws":
            aws += cost
        if billing not in _NOT_BILLED:
            billed += cost
        if record.fallback:
            fallback += cost
    return Used(len(records), tokens, total, billed, fallback, aws, unpriced, aws_unpriced)


def added(one: Used, other: Used) -> Used:
    """Return both together."""
    a, b, c, d, e, f, g, h = one
    i, j, k, m, n, o, p, q = other
    return Used(a + i, b + j, c + k, d + m, e + n, f + o, g + p, h + q)


def less(one: Used, other: Used) -> Used:
    """Return *one* without *other*, which is part of it. Rounding leaves nothing below 0."""
    a, b, c, d, e, f, g, h = one
    i, j, k, m, n, o, p, q = other
    return Used(
        max(0, a - i),
        max(0, b - j),
        max(0.0, c - k),
        max(0.0, d - m),
        max(0.0, e - n),
        max(0.0, f - o),
        max(0, g - p),
        max(0, h - q),
    )
