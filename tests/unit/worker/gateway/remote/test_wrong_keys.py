"""Wrong keys, counted by address."""

import pytest

from claude_gatewayd.worker.gateway.remote.wrong_keys import WrongKeys
from tests.support.clock import Clock
from tests.support.memory import kept_by


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_person_who_has_the_wrong_key_never_waits(clock: Clock) -> None:
    wrong = WrongKeys(clock)
    for _ in range(90):
        assert wrong.count("198.51.100.7") == 0
        clock.now += 2.1


def test_who_tries_keys_waits_for_the_next_minute(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    wrong = WrongKeys(clock)
    waits = [wrong.count("198.51.100.7") for _ in range(50)]
    assert waits == [0] * 30 + [60] * 20
    assert wrong.count("198.51.100.8") == 0
    assert [record.getMessage() for record in caplog.records] == [
        "198.51.100.7 has sent 31 requests with a wrong key within a minute"
    ]
    clock.now += 59
    assert wrong.count("198.51.100.7") == 1
    clock.now += 1
    assert wrong.count("198.51.100.7") == 0


def test_a_hundred_thousand_addresses_cost_little(clock: Clock) -> None:
    wrong = WrongKeys(clock)
    assert kept_by(lambda: [wrong.count(f"fd00::{number:x}") for number in range(100_000)]) < 2
