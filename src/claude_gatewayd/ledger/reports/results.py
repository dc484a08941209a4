"""What reports return."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal, Self

from claude_gatewayd.ledger.reports.window import Window

_PAYS = {"api": 0, "aws": 1, "other": 2, "subscription": 3}  # whoever else is "other"
By = Literal["day", "hour", "model", "upstream", "session", "project", "gateway", "key"]


@dataclass(frozen=True, slots=True)
class UsageSums:
    """What requests have used. Costs are in USD, at list price.

    *fallbacks* were answered by Bedrock in Anthropic's place. *api*, *aws* and *other* are billed by the token,
    *subscription* is not. *fallback_cost* is a part of these. *unpriced* requests are in no cost.
    """

    requests: int = 0
    failures: int = 0
    aborted: int = 0
    unpriced: int = 0
    fallbacks: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    api: float = 0.0
    aws: float = 0.0
    other: float = 0.0
    subscription: float = 0.0
    fallback_cost: float = 0.0

    @property
    def billed(self) -> float:
        """What somebody has to pay for."""
        return self.api + self.aws + self.other

    @property
    def prompt_tokens(self) -> int:
        """All tokens of the prompts, wherever they came from."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    @property
    def cache_hit_ratio(self) -> float | None:
        """The share of the prompts' tokens that was read from a cache, 0 to 1; None without any."""
        return self.cache_read_tokens / self.prompt_tokens if self.prompt_tokens else None

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, name) + getattr(other, name) for name in NAMES))


NAMES = tuple(field.name for field in fields(UsageSums))
Numbers = tuple[int | float, ...]  # of a `UsageSums`, in the order of its fields: thousands are added quickly


def numbers_of(billing: str, fallback: str, counts: Sequence[int], cost: float) -> Numbers:
    """Return what requests of one *billing*, that fell back for one reason or did not, add to sums.

    *counts*: requests, failures, aborted, unpriced, and tokens of input, output, cache read and cache written.
    """
    requests, failures, aborted, unpriced, *tokens = counts
    who = _PAYS.get(billing, _PAYS["other"])
    costs = [0.0, 0.0, 0.0, 0.0]
    costs[who] = cost
    return (
        requests, failures, aborted, unpriced, requests if fallback else 0, *tokens,
        *costs, cost if fallback else 0.0,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class UsageRow:
    """The sums of one day, hour, model, upstream, session, project, gateway or named key: *key* says which.

    *begin* and *end* are those of a day or an hour, of a session the times of its first and its last request, in
    seconds since the epoch; else None. *project* is a session's.
    """

    key: str
    sums: UsageSums
    begin: float | None = None
    end: float | None = None
    project: str = ""

    def rank(self) -> tuple[float, int, str]:
        """Sort by this: what has cost most is first."""
        return -self.sums.billed - self.sums.subscription, -self.sums.requests, self.key


@dataclass(frozen=True, slots=True)
class FallbackSums:
    """What the fallback has cost for one reason."""

    reason: str
    requests: int
    cost: float

    def rank(self) -> tuple[int, str]:
        """Sort by this: the most frequent reason is first."""
        return -self.requests, self.reason


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Durations in milliseconds that 50, 90 and 99 % of the requests did not exceed; off by 2.5 % at most."""

    requests: int
    p50: float
    p90: float
    p99: float


@dataclass(frozen=True, slots=True)
class UpstreamLatency:
    """How long an upstream took to the first event of a stream, and for the whole answer."""

    upstream: str
    first_event: Percentiles | None
    duration: Percentiles | None


@dataclass(frozen=True, slots=True)
class MonthEstimate:
    """This month so far, and where it leads; the estimates are None with too little data.

    *rate_days* is how many whole days the daily average was taken from.
    """

    month: str
    begin: float
    end: float
    billed: float
    subscription: float
    billed_estimate: float | None
    subscription_estimate: float | None
    rate_days: int
    days_left: int


@dataclass(frozen=True, slots=True)
class UsageReport:
    """All that `usage` shows of a window. *others* are the gateways of the database that are left out.

    Where it is about one named key, *key_name* is its name, and there are no latencies.

    *more_rows* is how many rows a limit has left out; they are in the *total*. *first_at*: since when there is
    anything.
    """

    by: By
    window: Window
    rows: tuple[UsageRow, ...]
    more_rows: int
    total: UsageSums
    fallbacks: tuple[FallbackSums, ...]
    latencies: tuple[UpstreamLatency, ...]
    month: MonthEstimate
    unpriced_models: tuple[str, ...]
    gateway: str | None
    others: tuple[str, ...]
    first_at: float | None
    key_name: str | None = None
