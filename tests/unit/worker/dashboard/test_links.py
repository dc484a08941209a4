"""A link is good once, within a minute."""

from claude_gatewayd.worker.dashboard.links import GOOD_FOR, Links
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
