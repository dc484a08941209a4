"""What the trial excuses, and what it does not."""

from collections import Counter

import pytest
from trial.book import Books, Killing
from trial.clients import Asked
from trial.people import Turn
from trial.report import Findings, Report, Row

ONE, TWO = "10.0.0.11", "10.0.0.12"
KILLED = Killing(TWO, 100.0, 1)


def asked(mark: str, *, began: float = 90.0, ended: float = 100.2, status: int = 200, is_whole: bool = True) -> Asked:
    return Asked(mark, "work", began, ended, status, is_whole, 10, 0)


def books(*all_asked: Asked, on: str = TWO, rows: dict[str, int] | None = None) -> Books:
    marks = [one.mark for one in all_asked]
    return Books(all_asked, {mark: [on] for mark in marks}, rows or dict.fromkeys(marks, 1), [KILLED])


@pytest.mark.parametrize(
    ("one", "on", "is_excused"),
    [
        (asked("a", is_whole=False), TWO, True),
        (asked("a", status=502), TWO, True),
        (asked("a", is_whole=False), ONE, False),  # on another gateway
        (asked("a", is_whole=False, ended=99.0), TWO, False),  # before
        (asked("a", is_whole=False, ended=103.0), TWO, False),  # after
        (asked("a", began=101.0, ended=101.1, status=502), TWO, False),  # that was sent to a gateway that is gone
    ],
)
def test_what_failed_with_a_killed_process(one: Asked, on: str, is_excused: bool) -> None:
    found = books(one, on=on)
    assert found.failed() == [one]
    assert found.broken() == ([one] if is_excused else [])
    assert found.unexcused() == ([] if is_excused else [one])


@pytest.mark.parametrize(
    ("one", "on", "is_excused"),
    [(asked("a", ended=99.0), TWO, True), (asked("a", ended=98.0), TWO, False), (asked("a", ended=99.0), ONE, False)],
)
def test_a_row_of_the_last_second(one: Asked, on: str, is_excused: bool) -> None:
    found = books(one, on=on, rows={"another": 1})
    assert found.missing() == [one]
    assert found.in_doubt() == ([] if is_excused else [one])


@pytest.mark.parametrize(
    ("resent", "began", "peers", "is_excused"),
    [
        (1, 90.0, [TWO, ONE], True),
        (0, 90.0, [TWO, ONE], False),  # the balancer has sent it again
        (1, 101.0, [TWO, ONE], False),  # nothing was killed meanwhile
        (1, 90.0, [ONE, ONE], False),
    ],
)
def test_what_was_paid_for_twice(resent: int, began: float, peers: list[str], is_excused: bool) -> None:
    one = asked("a", began=began, ended=120.0)._replace(resent=resent)
    assert Books([one], {"a": peers}, {"a": 1}, [KILLED]).paid_twice() == ([] if is_excused else ["a"])


def report(found: Books, *, turns: tuple[Turn, ...] = (), sessions: Counter[str] | None = None) -> Report:
    return Report.of([Row("calm", 80.0, 110.0, "")], Findings(found, turns, sessions or Counter()))


def test_what_is_right() -> None:
    found = report(books(asked("a"), asked("b", is_whole=False)))
    assert found.wrong == []
    assert "| calm | 30 | 2 | 1 | 1 | – |" in found.table


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (report(books(asked("a"), rows={"a": 2})), "in the ledger twice: a"),
        (report(Books([asked("a")], {"a": [ONE, TWO]}, {"a": 1})), "asked of Anthropic twice: a"),
        (report(Books([asked("a")], {"a": [ONE]}, {})), "not in the ledger: "),
        (report(Books([asked("a", status=502)], {}, {})), "failed, and on no process that was killed: "),
        (report(Books([], {}, {}), sessions=Counter(s=2)), "sessions miscounted: s: 0 rows of 2"),
        (report(Books([], {}, {}), turns=(Turn("s", 1.0, False, 0, "exit 1"),)), "a task of Claude Code failed"),
    ],
)
def test_what_is_wrong(found: Report, says: str) -> None:
    assert any(says in what for what in found.wrong)
