"""A link is good once, within a minute."""

from claude_gatewayd.worker.dashboard.links import GOOD_FOR, Links
from claude_gatewayd.worker.sharing.facts import Fact, LinkIssued, LinkUsed
from tests.support.clock import Clock


def test_it_is_good_once() -> None:
    links = Links(Clock())
    token = links.issue().encode()
    assert not links.redeem(b"")
    assert not links.redeem(token[:-1])
    assert links.redeem(token)
    assert not links.redeem(token)


def test_it_is_good_for_a_minute() -> None:
    clock = Clock()
    links = Links(clock)
    first, second = links.issue().encode(), links.issue().encode()
    clock.now += GOOD_FOR - 0.1
    assert links.redeem(first)
    clock.now += 0.2
    assert not links.redeem(second)


def test_it_is_guessed_by_nobody_and_the_memory_of_them_has_an_end() -> None:
    links = Links(Clock())
    tokens = [links.issue() for _ in range(100)]
    assert len(set(tokens)) == 100
    assert min(map(len, tokens)) >= 43
    assert sum(links.redeem(token.encode()) for token in tokens) == 32
    assert links.redeem(links.issue().encode())


def test_every_worker_knows_a_link_until_one_has_seen_it() -> None:
    clock = Clock()
    there = Links(clock)
    takers = {LinkIssued: there.take_issued, LinkUsed: there.take_used}
    facts: list[Fact] = []

    def publish(fact: Fact) -> None:
        facts.append(fact)
        takers[type(fact)](fact)  # type: ignore[operator]

    here = Links(clock, publish)
    first, second, third = (here.issue().encode() for _ in range(3))
    assert first.decode() not in repr(facts), "the others are told its digest"
    assert there.redeem(first)
    assert here.redeem(second)
    assert not there.redeem(second)
    clock.now += GOOD_FOR + 1
    assert not there.redeem(third)
    there.take_issued(LinkIssued("ab", 1e9))
    clock.now += GOOD_FOR + 1
    assert not there.redeem(b"x")


def test_one_that_begins_to_serve_is_told_what_is_good() -> None:
    clock = Clock()
    facts: list[Fact] = []
    links = Links(clock, facts.append)
    links.issue()
    clock.now += 20
    facts.clear()
    links.publish_all()
    (fact,) = facts
    assert isinstance(fact, LinkIssued)
    assert fact.good_for == 40
