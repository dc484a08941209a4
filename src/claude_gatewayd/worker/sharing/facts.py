"""The facts that workers share. Times are durations: the clocks of two machines differ."""

from typing import Any, NamedTuple


class CredentialAccepted(NamedTuple):
    """Anthropic has accepted a credential, by its keyed hash: so many seconds *ago*."""

    digest: str
    ago: float = 0.0


class CircuitChanged(NamedTuple):
    """A circuit has opened, closed, moved, or let a probe through. *ends_in* and *probe_in* are in seconds from now.

    *again*: it has not changed just now; this is for who may not know it.
    """

    credential: str
    model: str
    own_limits: str = ""
    is_open: bool = False
    is_limit: bool = False
    ends_in: float = 0.0
    probe_in: float = 0.0
    reason: str = ""
    again: bool = False


class FactsWanted(NamedTuple):
    """A worker that begins to serve asks for what holds now."""


class LinkIssued(NamedTuple):
    """A one-time link to the dashboard is good, for so many seconds: by the digest of its token."""

    digest: str
    good_for: float


class LinkUsed(NamedTuple):
    """It is not good any more."""

    digest: str


class RowsWanted(NamedTuple):
    """A page is open at a worker: for so many seconds, it asks for what others have ended. *anew*: the last, too."""

    seconds: float
    anew: bool = False


class RowsEnded(NamedTuple):
    """These requests have ended: usage records, as JSON has them. *missed* more are not named."""

    records: list[dict[str, Any]]
    missed: int = 0


class MetricsWanted(NamedTuple):
    """A worker is asked for metrics, and asks the others of its generation for theirs.

    *asked* tells this time from others. It *knows* the numbers of these workers, from before.
    """

    generation: int
    asked: str
    asker: str
    knows: tuple[str, ...] = ()


class MetricsCounted(NamedTuple):
    """A *piece*, of so many, of the numbers of a *worker*: `worker.metrics.numbers`."""

    generation: int
    asked: str
    worker: str
    piece: int
    pieces: int
    numbers: dict[str, Any]


class UsageShared(NamedTuple):
    """What a worker has used: of each quarter of an hour its number, its sums, and those that are in the ledger."""

    worker: str
    quarters: list[list[Any]]


class UsageWanted(NamedTuple):
    """A gateway has joined the others, and asks for what they have used and not written."""


class ServedBy(NamedTuple):
    """Who answers a credential's requests for a model now: "anthropic", "bedrock" or "nobody"."""

    credential: str
    model: str
    by: str
    why: str = ""
    trouble: str = ""
    hint: str = ""


class RefusalsForgotten(NamedTuple):
    """A person wants Bedrock's models to be asked with everything again: `reload --forget`."""


class RefusalLearned(NamedTuple):
    """A model at Bedrock refuses a feature of some sort, and has said so with a text, so many seconds *ago*."""

    model: str
    sort: str
    what: str
    text: str
    ago: float = 0.0


class KeysChanged(NamedTuple):
    """Named keys were added, changed or revoked: they are to be read again."""


class KeyRequests(NamedTuple):
    """How many requests with each named key a worker has counted: in all, and within the last minute."""

    worker: str
    counts: dict[str, list[int]]


class KeySpent(NamedTuple):
    """What each named key has cost the AWS account in a month, at one worker: in USD, and how much is in the ledger."""

    worker: str
    month: str
    spent: dict[str, list[float]]


Fact = (
    CredentialAccepted
    | CircuitChanged
    | FactsWanted
    | LinkIssued
    | LinkUsed
    | RowsWanted
    | RowsEnded
    | MetricsWanted
    | MetricsCounted
    | UsageShared
    | UsageWanted
    | ServedBy
    | RefusalLearned
    | RefusalsForgotten
    | KeysChanged
    | KeyRequests
    | KeySpent
)
