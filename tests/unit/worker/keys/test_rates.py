"""Requests per minute: within any 60 seconds, of all workers as far as they have let each other know."""

import random

import pytest

from claude_gatewayd.worker.keys.rates import KeyRates
from claude_gatewayd.worker.sharing.facts import KeyRequests


class Worker:
    """One of several, with a clock that all have in common."""

    def __init__(self, name: str, everybody: list["Worker"], now: list[float]) -> None:
        self.others = everybody
        self.facts: list[KeyRequests] = []
        self.rates = KeyRates(name, self.facts.append, lambda: now[0])
        everybody.append(self)

    def share(self) -> None:
        """Let the others know, at once."""
        self.rates.share()
        for fact in self.facts:
            for other in self.others:
                if other is not self:
                    other.rates.take(fact)
        self.facts.clear()


def test_a_window_slides() -> None:
    now = [1000.0]
    worker = Worker("a", [], now)
    assert [worker.rates.take_one("alice", 3) for _ in range(3)] == [0, 0, 0]
    assert 1 <= worker.rates.take_one("alice", 3) <= 60
    assert worker.rates.take_one("bob", 3) == 0
    now[0] += 59
    assert worker.rates.take_one("alice", 3) > 0
    now[0] += 2
    assert worker.rates.take_one("alice", 3) == 0


def test_who_waits_as_long_as_was_said_is_served() -> None:
    now = [1000.3]
    worker = Worker("a", [], now)
    for _ in range(5):
        assert worker.rates.take_one("alice", 5) == 0
        now[0] += 2.7
    wait = worker.rates.take_one("alice", 5)
    assert wait == pytest.approx(60 - 5 * 2.7, abs=2)
    now[0] += wait
    assert worker.rates.take_one("alice", 5) == 0


def test_within_no_minute_are_there_more() -> None:
    now, rng, served = [0.0], random.Random(7), []
    worker = Worker("a", [], now)
    for _ in range(3000):
        now[0] += rng.expovariate(1.0)
        if worker.rates.take_one("alice", 20) == 0:
            served.append(now[0])
    assert len(served) > 500
    assert all(last - first >= 59 for first, last in zip(served, served[20:], strict=False))


def test_those_of_others_count_once_however_often_they_are_told() -> None:
    now, everybody = [1000.0], list[Worker]()
    one, other = Worker("a", everybody, now), Worker("b", everybody, now)
    for _ in range(3):
        assert one.rates.take_one("alice", 4) == 0
    one.share()
    for _ in range(3):
        now[0] += 1
        one.rates.share_again()
        one.share()
    assert other.rates.take_one("alice", 4) == 0
    assert other.rates.take_one("alice", 4) > 0
    now[0] += 61
    assert other.rates.take_one("alice", 4) == 0, "a minute later they are forgotten"


def test_a_worker_that_begins_counts_the_last_minute_alone() -> None:
    now, everybody = [1000.0], list[Worker]()
    one = Worker("a", everybody, now)
    for _ in range(10):
        one.rates.take_one("alice", 100)
    now[0] += 100
    one.rates.take_one("alice", 100)
    late = Worker("b", everybody, now)
    one.rates.share_again()
    one.share()
    assert late.rates.take_one("alice", 2) == 0
    assert late.rates.take_one("alice", 2) > 0


def test_a_fact_that_is_lost_is_made_up_for_by_the_next() -> None:
    now, everybody = [1000.0], list[Worker]()
    one, other = Worker("a", everybody, now), Worker("b", everybody, now)
    one.rates.take_one("alice", 9)
    one.share()
    one.rates.take_one("alice", 9)
    now[0] += 1
    one.rates.share()
    one.facts.clear()  # nobody has heard it
    one.rates.take_one("alice", 9)
    now[0] += 1
    one.share()
    assert [other.rates.take_one("alice", 4) > 0 for _ in range(2)] == [False, True]


def test_facts_of_another_version_do_no_harm() -> None:
    worker = Worker("a", [], [0.0])
    worker.rates.take(KeyRequests("b", {"alice": [1], "bob": [1, 2, 3], "carol": [-5, -5]}))
    assert worker.rates.take_one("alice", 1) == 0
    assert worker.rates.take_one("carol", 1) == 0
