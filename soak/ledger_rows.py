"""Is each request in the soaked daemon's ledger exactly once? What its rows are, and what its sums say. Pure."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from soak.clients import Found, row_of
from soak.kinds import KINDS, NAMES

Query = Callable[[str], list[tuple[Any, ...]]]

_ROWS: Final = """
SELECT substr(agent_id, 1, 2), status, upstream, COUNT(*), SUM(input_tokens), SUM(output_tokens) FROM {schema}requests
GROUP BY 1, 2, 3
"""
_MARKS: Final = "SELECT COUNT(*), COUNT(DISTINCT agent_id) FROM {schema}requests WHERE agent_id <> ''"
_USING: Final = """
SELECT COUNT(*), SUM(input_tokens), SUM(output_tokens) FROM {schema}requests
WHERE kind IN ('messages', 'invoke', 'openai')
"""
_QUARTERS: Final = "SELECT SUM(requests), SUM(input_tokens), SUM(output_tokens) FROM {schema}quarters"
_LATENCIES: Final = "SELECT SUM(requests) FROM {schema}latencies WHERE measure = 'duration'"
_NO_MARK: Final = ("malformed",)  # no header is read of these
_OTHERS: Final = 10  # rows of no kind: by those it was found out whether the daemon serves
_GONE: Final = 499  # the row's status where the client left before the end, whatever it had got
_INPUT: Final = 12
_OUTPUT: Final = {"message": 8, "message on a connection of its own": 8, "stream": 99}


@dataclass(frozen=True, slots=True)
class Rows:
    """What the ledger has. *by_kind* counts the rows of each kind and status as `row_of` names them."""

    by_kind: dict[str, int]
    tokens: dict[str, tuple[int, int, int]]  # of Anthropic's: rows, tokens of input and of output
    unmarked: int
    doubles: int
    using: tuple[int, ...]  # requests, tokens of input and of output: of the rows that use tokens
    quarters: tuple[int, ...]  # the same, of the sums by quarter of an hour
    latencies: int

    @property
    def count(self) -> int:
        """How many rows there are."""
        return sum(self.by_kind.values()) + self.unmarked


def read(query: Query, schema: str) -> Rows:
    """Read a ledger; *schema* is a prefix of its tables' names."""
    by_kind: Counter[str] = Counter()
    tokens: dict[str, tuple[int, int, int]] = {}
    unmarked = 0
    for mark, status, upstream, count, given, made in query(_ROWS.format(schema=schema)):
        if not mark:
            unmarked += int(count)
            continue
        row = row_of(NAMES[mark], status)
        by_kind[row] += int(count)
        if upstream == "anthropic":  # where it does not answer in time, Bedrock does
            tokens[row] = int(count), int(given), int(made)
    ((marked, distinct),) = query(_MARKS.format(schema=schema))
    using, quarters, latencies = (
        tuple(int(value or 0) for value in query(text.format(schema=schema))[0])
        for text in (_USING, _QUARTERS, _LATENCIES)
    )
    return Rows(dict(by_kind), tokens, unmarked, marked - distinct, using, quarters, latencies[0])


def miscounted(asked: Sequence[Found], rows: Rows) -> list[str]:
    """Return where the rows are not those of the requests, each once, or the sums not those of the rows."""
    answered: Counter[str] = Counter()
    unsure: Counter[str] = Counter()
    for found in asked:
        answered.update(found.answered)
        unsure.update(found.unsure)
    wrong = [f"the ledger has {rows.doubles} requests twice"] if rows.doubles else []
    unmarked = 0
    for kind in KINDS:
        sent = {row: count for row, count in answered.items() if _is_of(row, kind.name)}
        there = {row: count for row, count in rows.by_kind.items() if _is_of(row, kind.name)}
        if kind.abort:
            gone = row_of(kind.name, _GONE)
            sent, there = {gone: sum(sent.values())}, {gone: sum(there.values())}
        if kind.name in _NO_MARK:
            unmarked += sum(sent.values())
            continue
        wanted = sent if kind.has_row else {}
        wrong += [
            f"the ledger has {there.get(row, 0)} rows of {count} requests: {row}"
            for row, count in wanted.items() if there.get(row, 0) < count
        ]  # fmt: skip
        more = sum(max(0, count - wanted.get(row, 0)) for row, count in there.items())
        if more > unsure[kind.name]:
            wrong.append(f"the ledger has {more} rows more than there were requests: {kind.name}")
    may_be = unmarked + sum(unsure[name] for name in _NO_MARK) + _OTHERS
    if not unmarked <= rows.unmarked <= may_be:
        wrong.append(f"the ledger has {rows.unmarked} rows of no kind, not {unmarked} to {may_be}")
    for name, output in _OUTPUT.items():
        row = row_of(name, 200)
        count, *tokens = rows.tokens.get(row, (0, 0, 0))
        if not unsure[name] and tokens != [count * _INPUT, count * output]:
            wrong.append(f"the ledger has {tokens} tokens in {count} rows: {row}")
    if rows.quarters != rows.using or rows.latencies != rows.using[0]:
        sums = f"{rows.quarters} and {rows.latencies}"
        wrong.append(f"the ledger's sums of requests and tokens are {sums}, those of its rows {rows.using}")
    return wrong


def _is_of(row: str, kind: str) -> bool:
    return row.rpartition(",")[0] == kind
