"""What came of the trial, as it is printed."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from trial.book import Books, between, named
from trial.people import Turn

_HEAD: Final = ("While", "Seconds", "Streams and messages", "Failed", "Of these on the killed", "Seen besides")


class Row(NamedTuple):
    """A scene: its name, when it was, and what was seen besides."""

    name: str
    begin: float
    end: float
    note: str


class Findings(NamedTuple):
    """All that is known: *sessions* has how often Anthropic was asked in each session of Claude Code."""

    books: Books
    turns: Sequence[Turn] = ()
    sessions: Counter[str] = Counter()  # noqa: RUF012 - nobody adds to it
    violations: Sequence[str] = ()
    costs: Sequence[str] = ()


@dataclass(frozen=True)
class Report:
    """The table, totals, and what is wrong."""

    table: str
    totals: Sequence[str]
    wrong: Sequence[str]

    @classmethod
    def of(cls, rows: Sequence[Row], found: Findings) -> Self:
        """Judge what is known."""
        books = found.books
        ends = [*(row.begin for row in rows[1:]), time.monotonic()]
        all_failed = {one.mark for one in books.failed()}
        broken = {one.mark for one in books.broken()}
        lines = [_HEAD]
        for row, end in zip(rows, ends, strict=True):
            over = [one.mark for one in between(books.asked, row.begin, end)]
            seconds, failed = f"{row.end - row.begin:.0f}", all_failed.intersection(over)
            numbers = (seconds, f"{len(over):,}", str(len(failed)), str(len(failed & broken)))
            lines.append((row.name, *numbers, row.note or "–"))
        return cls(_table(lines), _totals(found), _wrong(found))

    def __str__(self) -> str:
        return "\n".join([self.table, "", *self.totals, *(f"WRONG: {what}" for what in self.wrong)])


def _totals(found: Findings) -> Sequence[str]:
    books = found.books
    counts = (
        ("streams and messages", len(books.asked)),
        ("failed", len(books.failed())),
        ("failed, but not with a process that was killed", len(books.unexcused())),
        ("sent again, as a kept connection was closed just then", sum(one.resent for one in books.asked)),
        ("asked of Anthropic more than once", len(books.paid_twice())),
        ("rows in the ledger", sum(books.rows.values())),
        ("in the ledger twice", len(books.twice())),
        ("not in the ledger, of the last second of a process that was killed", len(books.lost())),
        ("not in the ledger, others", len(books.in_doubt())),
        ("tasks of Claude Code", len(found.turns)),
        ("tasks of Claude Code that failed", sum(not turn.succeeded for turn in found.turns)),
        ("requests of Claude Code", sum(found.sessions.values())),
        ("requests that Claude Code had to repeat", sum(turn.retries for turn in found.turns)),
    )
    return [*(f"{count:9,} {what}" for what, count in counts), "", *found.costs]


def _wrong(found: Findings) -> list[str]:
    books = found.books
    miscounted = [
        f"{session}: {books.rows.get(session, 0)} rows of {count}"
        for session, count in found.sessions.items()
        if books.rows.get(session, 0) != count
    ]
    may_be_missing = sum(killing.under_way for killing in books.killings)
    return [
        *([f"failed, and on no process that was killed: {named(books.unexcused())}"] if books.unexcused() else []),
        *([f"in the ledger twice: {named(books.twice())}"] if books.twice() else []),
        *([f"not in the ledger: {named(books.in_doubt())}"] if books.in_doubt() else []),
        *([f"asked of Anthropic twice: {named(books.paid_twice())}"] if books.paid_twice() else []),
        *([f"sessions miscounted: {named(miscounted)}"] if len(miscounted) > may_be_missing else []),
        *(f"a task of Claude Code failed: {turn.what}" for turn in found.turns if not turn.succeeded),
        *([f"Anthropic saw what it should not: {named(found.violations)}"] if found.violations else []),
    ]


def _table(lines: Sequence[Sequence[str]]) -> str:
    head, *rows = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([head, "|---" + "|--:" * (len(_HEAD) - 2) + "|---|", *rows])
