"""The ledger against Claude Code's transcripts: what each counts, and which requests make the difference. Pure.

An answer has one id in both. Transcripts do not have every request: the client asks for titles and summaries as well.
The ledger does not have every message of theirs: a client may have asked without the gateway.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from claude_gatewayd.ctl.usage.against.transcripts import Message, Transcripts
from claude_gatewayd.ledger.token_counts import TokenCounts

MOST_LISTED: Final = 1000
AROUND: Final = 3600.0  # seconds around the time asked for: a request begins before its answer is written down
_RECENT: Final = 120.0  # seconds in which an answer may be still under way, or its row on its way into the ledger

By = Literal["day", "hour", "model", "upstream", "session", "project"]
Unrecorded = Literal["before the ledger", "not through the gateway", "without an id", "under way", "missing"]
Unwritten = Literal["aborted", "in the background", "of other sessions", "of other programs", "recorded twice"]


class LedgerRow(NamedTuple):
    """A request of the ledger that used tokens."""

    message_id: str
    session_id: str
    at: float
    model: str
    project: str
    upstream: str
    is_aborted: bool
    counts: "Counts"


class Counts(NamedTuple):
    """Messages, and their tokens."""

    messages: int = 0
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0


@dataclass(slots=True)
class Sum:
    """Counts that grow."""

    _numbers: list[int] = field(default_factory=lambda: [0] * len(Counts._fields))

    def add(self, counts: Counts) -> None:
        """Add those of a message."""
        for at, number in enumerate(counts):
            self._numbers[at] += number

    @property
    def counts(self) -> Counts:
        """The sums so far."""
        return Counts(*self._numbers)


@dataclass(slots=True)
class Sides:
    """What the transcripts and the ledger count."""

    transcripts: Sum = field(default_factory=Sum)
    ledger: Sum = field(default_factory=Sum)

    def add(self, transcripts: Counts | None, ledger: Counts | None) -> None:
        """Add a message of one side or of both."""
        if transcripts is not None:
            self.transcripts.add(transcripts)
        if ledger is not None:
            self.ledger.add(ledger)

    @property
    def difference(self) -> Counts:
        """By how much the ledger has more."""
        pairs = zip(self.ledger.counts, self.transcripts.counts, strict=True)
        return Counts(*(ledger - transcripts for ledger, transcripts in pairs))


class Difference(NamedTuple):
    """A message whose tokens differ."""

    message: Message
    transcripts: Counts
    ledger: Counts


@dataclass(slots=True)
class Comparison:
    """Both sides by key and in all, and why they are not the same."""

    total: Sides = field(default_factory=Sides)
    by_key: defaultdict[str, Sides] = field(default_factory=lambda: defaultdict(Sides))
    differing: int = 0
    differences: list[Difference] = field(default_factory=list)
    missing: list[Message] = field(default_factory=list)
    unrecorded: defaultdict[Unrecorded, Sum] = field(default_factory=lambda: defaultdict(Sum))
    unwritten: defaultdict[Unwritten, Sum] = field(default_factory=lambda: defaultdict(Sum))

    @property
    def differs(self) -> bool:
        """Whether tokens of a message differ, or the ledger lacks one that it should have."""
        return bool(self.differing or self.missing)


class Scope(NamedTuple):
    """What is compared: from *since* to *until*, exclusively. The ledger's first request was at *began*."""

    since: float
    until: float
    began: float
    now: float


def counts_of(counts: TokenCounts) -> Counts:
    """Return those of one message."""
    return Counts(1, *counts[:5])


def compare(
    found: Transcripts, rows: Iterable[LedgerRow], scope: Scope, key: Callable[[float, Message | LedgerRow, str], str]
) -> Comparison:
    """Compare the transcripts with the ledger's rows, which are those of the time asked for and AROUND it.

    *key* names the line of the report that a message belongs to, by its time, itself, and the upstream that answered. A
    message of both sides is at the time at which the ledger has it, with the model and the project of the transcript.
    """
    result = Comparison()
    sessions = found.sessions
    recorded: set[str] = set()
    through: set[str] = set()

    def enter(line: str, transcripts: Counts | None, ledger: Counts | None) -> None:
        result.total.add(transcripts, ledger)
        result.by_key[line].add(transcripts, ledger)

    for row in rows:
        through.add(row.session_id)
        message = found.messages.get(row.message_id) if row.message_id else None
        is_again = row.message_id in recorded
        if message is not None:
            recorded.add(row.message_id)
        if not scope.since <= row.at < scope.until:
            continue
        if message is None or is_again:
            enter(key(row.at, row, row.upstream), None, row.counts)
            result.unwritten[_why_unwritten(row, sessions, is_again=is_again)].add(row.counts)
            continue
        believed = counts_of(message.counts)
        enter(key(row.at, message, row.upstream), believed, row.counts)
        if believed != row.counts:
            result.differing += 1
            if len(result.differences) < MOST_LISTED:
                result.differences.append(Difference(message, believed, row.counts))

    for message in (*found.messages.values(), *found.nameless):
        if message.message_id in recorded or not scope.since <= message.at < scope.until:
            continue
        believed = counts_of(message.counts)
        enter(key(message.at, message, ""), believed, None)
        why_not = _why_unrecorded(message, through, scope)
        result.unrecorded[why_not].add(believed)
        if why_not == "missing" and len(result.missing) < MOST_LISTED:
            result.missing.append(message)
    return result


def _why_unwritten(row: LedgerRow, sessions: set[str], *, is_again: bool) -> Unwritten:
    if is_again:
        return "recorded twice"
    if row.is_aborted:
        return "aborted"
    if not row.session_id:
        return "of other programs"
    return "in the background" if row.session_id in sessions else "of other sessions"


def _why_unrecorded(message: Message, through: set[str], scope: Scope) -> Unrecorded:
    if message.at < scope.began:
        return "before the ledger"
    if message.session_id not in through:
        return "not through the gateway"
    if not message.message_id:
        return "without an id"
    return "under way" if message.at > scope.now - _RECENT else "missing"
