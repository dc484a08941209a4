"""The soak's sum check: a request that the ledger lacks, or has twice, is found."""

import sqlite3
from contextlib import closing

import pytest
from soak.clients import Found
from soak.kinds import KINDS, mark_of
from soak.ledger_rows import miscounted, read

KIND = {kind.name: kind for kind in KINDS}
ASKED = Found(
    answered={"message, 200": 2, "metrics, 200": 1, "malformed, 400": 1, "no such model, 404": 1},
    unsure={"upload that the client gives up": 1},
)
ROWS = [
    (mark_of(KIND["message"], 0), 200, "messages", 12, 8),
    (mark_of(KIND["message"], 1), 200, "messages", 12, 8),
    (mark_of(KIND["no such model"], 2), 404, "messages", 0, 0),
    (mark_of(KIND["upload that the client gives up"], 3), 499, "messages", 0, 0),
    ("", 400, "other", 0, 0),
    ("", 200, "other", 0, 0),
]


def found(
    rows: list[tuple[str, int, str, int, int]], sums: tuple[int, int, int], durations: int, bedrock: str = ""
) -> list[str]:
    with closing(sqlite3.connect(":memory:")) as ledger:
        ledger.execute("CREATE TABLE requests (agent_id, status, kind, input_tokens, output_tokens, upstream)")
        ledger.execute("CREATE TABLE quarters (requests, input_tokens, output_tokens)")
        ledger.execute("CREATE TABLE latencies (measure, requests)")
        ledger.executemany("INSERT INTO requests VALUES (?, ?, ?, ?, ?, 'anthropic')", rows)
        ledger.execute("INSERT INTO quarters VALUES (?, ?, ?)", sums)
        ledger.execute("INSERT INTO latencies VALUES ('duration', ?)", (durations,))
        if bedrock:
            ledger.execute("UPDATE requests SET upstream = 'bedrock' WHERE agent_id = ?", (bedrock,))
        return miscounted([ASKED], read(lambda statement: ledger.execute(statement).fetchall(), ""))


def test_each_request_once() -> None:
    assert found(ROWS, (4, 24, 16), 4) == []


def test_who_leaves_may_have_got_the_whole_answer() -> None:
    rows = [(mark, 200 if status == 499 else status, *more) for mark, status, *more in ROWS]
    assert found(rows, (4, 24, 16), 4) == []  # type: ignore[arg-type]


def test_what_may_not_have_come() -> None:
    assert found([row for row in ROWS if row[1] != 499], (3, 24, 16), 3) == []


def test_a_request_that_is_not_there() -> None:
    assert found(ROWS[1:], (3, 12, 8), 3) == ["the ledger has 1 rows of 2 requests: message, 200"]


def test_a_request_that_is_there_twice() -> None:
    assert found([ROWS[0], *ROWS], (5, 36, 24), 5) == [
        "the ledger has 1 requests twice",
        "the ledger has 1 rows more than there were requests: message",
    ]


def test_another_status_than_the_client_saw() -> None:
    rows = [(mark, 200 if status == 404 else status, *more) for mark, status, *more in ROWS]
    assert found(rows, (4, 24, 16), 4) == [  # type: ignore[arg-type]
        "the ledger has 0 rows of 1 requests: no such model, 404",
        "the ledger has 1 rows more than there were requests: no such model",
    ]


def test_a_scrape_has_no_row() -> None:
    rows = [*ROWS, (mark_of(KIND["metrics"], 9), 200, "other", 0, 0)]
    assert found(rows, (4, 24, 16), 4) == ["the ledger has 1 rows more than there were requests: metrics"]


def test_other_tokens_than_anthropic_counted() -> None:
    rows = [*ROWS[1:], (*ROWS[0][:3], 12, 7)]
    assert found(rows, (4, 24, 15), 4) == ["the ledger has [24, 15] tokens in 2 rows: message, 200"]


def test_bedrock_counts_its_own_tokens() -> None:
    rows = [*ROWS[1:], (*ROWS[0][:3], 6, 4)]
    assert found(rows, (4, 18, 12), 4, bedrock=ROWS[0][0]) == []


@pytest.mark.parametrize(("sums", "durations"), [((5, 24, 16), 4), ((4, 24, 15), 4), ((4, 24, 16), 3)])
def test_sums_of_something_else(sums: tuple[int, int, int], durations: int) -> None:
    assert found(ROWS, sums, durations) == [
        f"the ledger's sums of requests and tokens are {sums} and {durations}, those of its rows (4, 24, 16)"
    ]
