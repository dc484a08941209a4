"""When Anthropic is left alone, and when it is asked again."""

import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gatewayd.anthropic.headers import reset_of
from claude_gatewayd.worker.gateway.lanes.circuit import (
    CLOSED,
    LONGEST_LIMIT,
    OTHERS_PROBE_LATER,
    PROBE_EVERY,
    PROBE_LASTS,
    Circuit,
    CircuitRules,
    Circuits,
    circuit_key,
)
from claude_gatewayd.worker.sharing.facts import CircuitChanged
from tests.support.clock import Clock

NOW = 1_800_000_000.0
RULES = CircuitRules(allowed_fails=1, cooldown_time=60.0)
KEY = circuit_key("1f3a", "claude-opus-4-8")


@pytest.mark.parametrize(("allowed", "fails", "is_open"), [(0, 1, True), (1, 1, False), (1, 2, True), (3, 3, False)])
def test_more_than_the_allowed_failures_open_it(allowed: int, fails: int, is_open: bool) -> None:
    circuit = CLOSED
    for n in range(fails):
        circuit = circuit.failed(NOW + n, "529", CircuitRules(allowed, 60.0))
    assert circuit.is_open is is_open


def test_failures_count_together_for_a_minute() -> None:
    assert not CLOSED.failed(NOW, "529", RULES).failed(NOW + 61, "529", RULES).is_open
    assert CLOSED.failed(NOW, "529", RULES).failed(NOW + 59, "529", RULES).is_open


@pytest.mark.parametrize(("after", "state"), [(0, "open"), (59, "open"), (60, "probe"), (600, "probe"), (-5, "probe")])
def test_after_failures_it_cools_down(after: float, state: str) -> None:
    circuit = CLOSED.failed(NOW, "529", CircuitRules(0, 60.0))
    assert circuit.state(NOW + after) == state


@pytest.mark.parametrize(
    ("reset", "probed_after"),
    [(3600.0, PROBE_EVERY), (100.0, 100.0), (-5.0, 60.0), (9 * 86400.0, 60.0)],
)
def test_a_reached_limit(reset: float, probed_after: float) -> None:
    circuit = CLOSED.rejected(NOW, NOW + reset, "limit reached", RULES)
    assert circuit.state(NOW + probed_after - 1) == "open"
    assert circuit.state(NOW + probed_after) == "probe"


def test_one_probe_at_a_time() -> None:
    circuit = CLOSED.failed(NOW, "529", CircuitRules(0, 60.0))
    probing = circuit.probing(NOW + 60)
    assert probing.state(NOW + 61) == "open"
    assert probing.state(NOW + 60 + PROBE_LASTS) == "probe"  # it was lost
    assert probing.released(NOW + 61).state(NOW + 61) == "probe"
    failed = probing.failed(NOW + 61, "529", RULES)
    assert failed.state(NOW + 120) == "open"
    assert failed.state(NOW + 121) == "probe"
    assert failed.released(NOW + 62) == failed  # after a verdict there is nothing to give back


def test_a_probe_that_fails_leaves_the_limit() -> None:
    circuit = CLOSED.rejected(NOW, NOW + 3600, "limit reached", RULES).probing(NOW + 300)
    failed = circuit.failed(NOW + 301, "529", RULES)
    assert failed.until == NOW + 3600
    assert failed.state(NOW + 600) == "open"
    assert failed.state(NOW + 601) == "probe"


@pytest.mark.parametrize(
    ("value", "reset"), [(b"1800000000", 1.8e9), (b"", 0.0), (b"soon", 0.0), (b"nan", 0.0), (b"inf", 0.0)]
)
def test_the_reset_in_a_header(value: bytes, reset: float) -> None:
    assert reset_of({b"anthropic-ratelimit-unified-reset": value}) == reset


@pytest.mark.parametrize(
    ("retry_after", "cooldown", "opens_for"),
    [
        (None, 60.0, 60.0),
        (7.0, 60.0, 60.0),
        (90.0, 60.0, 90.0),
        (3600.0, 60.0, 600.0),
        (float("inf"), 60.0, 600.0),
        (3600.0, 900.0, 900.0),
    ],
)
def test_a_longer_pause_is_granted(retry_after: float | None, cooldown: float, opens_for: float) -> None:
    circuit = CLOSED.failed(NOW, "429", CircuitRules(0, cooldown), retry_after)
    assert circuit.until == circuit.probe_at == NOW + opens_for


def test_what_was_under_way_does_not_prolong_it() -> None:
    circuit = CLOSED.failed(NOW, "529", CircuitRules(0, 60.0))
    assert circuit.failed(NOW + 30, "timeout", RULES) == circuit
    assert circuit.failed(NOW + 61, "timeout", RULES).state(NOW + 61) == "probe"


def test_failures_of_a_time_to_come_are_forgotten() -> None:
    assert not CLOSED.failed(NOW, "529", RULES).failed(NOW - 3600, "529", RULES).is_open


def test_a_limit_takes_the_place_of_a_cool_down() -> None:
    circuit = CLOSED.failed(NOW, "529", CircuitRules(0, 60.0)).rejected(NOW + 1, NOW + 9000, "limit", RULES)
    assert (circuit.until, circuit.probe_at, circuit.reason) == (NOW + 9000, NOW + 1 + PROBE_EVERY, "limit")


@pytest.mark.parametrize(
    ("reset", "until"), [(NOW + 900, NOW + 900), (0.0, NOW + 3600), (NOW, NOW + 3600), (NOW * 2, NOW + 3600)]
)
def test_a_probe_that_is_rejected_knows_a_new_reset(reset: float, until: float) -> None:
    circuit = CLOSED.rejected(NOW, NOW + 3600, "limit", RULES).probing(NOW + 300)
    assert circuit.rejected(NOW + 301, reset, "limit", RULES).until == until


def test_a_probe_that_fails_after_the_reset_is_a_failure() -> None:
    circuit = CLOSED.rejected(NOW, NOW + 100, "limit", RULES).probing(NOW + 100)
    failed = circuit.failed(NOW + 101, "529", RULES)
    assert (failed.until, failed.limit, failed.reason) == (NOW + 161, False, "529")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "fail", "reject", "succeed", "release"]),
        st.floats(0, 400),
        st.floats(-1e6, 1e6),
    ),
    max_size=40,
)


@given(STEPS, st.integers(0, 2))
def test_whatever_happens(steps: list[tuple[str, float, float]], allowed_fails: int) -> None:
    """One probe at a time; closed after a success; never open longer than a limit or the longest pause can be."""
    rules = CircuitRules(allowed_fails, 60.0)
    circuit: Circuit = CLOSED
    now = NOW
    probe_until = -1.0
    for what, later, other in steps:
        now += later
        if what == "ask":
            state = circuit.state(now)
            assert state == "closed" or circuit.is_open
            if state == "probe":
                assert now >= probe_until, "there is a probe already"
                circuit, probe_until = circuit.probing(now), now + PROBE_LASTS
                assert circuit.state(now) == "open"
        elif what == "succeed":
            circuit, probe_until = CLOSED, -1.0
        elif what == "release":
            circuit, probe_until = circuit.released(now), -1.0
        else:
            before = circuit
            circuit = (
                circuit.failed(now, "529", rules, abs(other))
                if what == "fail"
                else circuit.rejected(now, now + other, "limit", rules)
            )
            probe_until = -1.0
            assert circuit is before or circuit.until <= now + LONGEST_LIMIT
        assert not circuit.is_open or circuit.probe_at <= max(circuit.until, now + PROBE_LASTS)
        assert circuit.state(now + LONGEST_LIMIT) != "open"
        if circuit.is_open:
            assert circuit.state(circuit.since - 1) == "probe"  # the clock was set back


def test_all_of_them(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock(NOW)
    circuits = Circuits(CircuitRules(0, 60.0), lambda digest: f"cred-{digest[:2]}", clock)
    other = circuit_key("ffff", KEY.model)
    circuits.failed(KEY, "529")
    assert (
        circuits.admit(KEY),
        circuits.admit(other),
        circuits.admit(circuit_key(KEY.credential, "claude-haiku-4-5")),
    ) == (
        "open",
        "closed",
        "closed",
    )
    assert circuits.reason(KEY) == "529"
    assert circuits.snapshot() == [
        {"credential": "cred-1f", "model": KEY.model, "why": "529", "until": round(NOW + 60)}
    ]
    clock.now += 61
    assert (circuits.admit(KEY), circuits.admit(KEY)) == ("probe", "open")
    circuits.succeeded(KEY)
    assert circuits.admit(KEY) == "closed"
    assert circuits.snapshot() == []
    opens, closes = caplog.records  # one line a change
    assert opens.levelname == "WARNING"
    assert re.fullmatch(r"the circuit of cred-1f for claude-opus-4-8 opens until \d\d:\d\d \(529\)", opens.getMessage())
    assert closes.levelname == "INFO"
    assert closes.getMessage() == "the circuit of cred-1f for claude-opus-4-8 closes: Anthropic answers"


def test_probe_after_probe_that_fails_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock(NOW)
    circuits = Circuits(CircuitRules(0, 60.0), str, clock)
    circuits.failed(KEY, "529")
    for _ in range(10):
        clock.now += 60
        assert circuits.admit(KEY) == "probe"
        circuits.failed(KEY, "529")
        circuits.released(KEY)
    assert len(caplog.records) == 1
    circuits.rejected(KEY, clock.now + 5 * 86400, "limit reached")
    circuits.rejected(KEY, clock.now + 5 * 86400, "limit reached")
    assert len(caplog.records) == 2
    assert re.search(
        r"opens until (\w+ \d\d \w+|\d{4}-\d\d-\d\d) \d\d:\d\d \(limit reached\)$", caplog.messages[1]
    )  # not today


def test_a_name_cannot_write_the_log(caplog: pytest.LogCaptureFixture) -> None:
    circuits = Circuits(CircuitRules(0, 60.0), str, Clock(NOW))
    circuits.failed(circuit_key("1f3a", "claude\n<3>all is lost\u2028" + "x" * 1000), "529")
    (line,) = caplog.messages
    assert line.isprintable()
    assert line.isascii()
    assert len(line) < 300


def test_a_probe_is_given_back_once() -> None:
    clock = Clock(NOW)
    circuits = Circuits(CircuitRules(0, 60.0), str, clock)
    circuits.released(KEY)
    assert circuits.admit(KEY) == "closed"
    circuits.failed(KEY, "529")
    clock.now += 60
    assert circuits.admit(KEY) == "probe"
    circuits.released(KEY)
    assert (circuits.admit(KEY), circuits.admit(KEY)) == ("probe", "open")
    circuits.failed(KEY, "529")
    circuits.released(KEY)
    assert circuits.admit(KEY) == "open"


def test_one_that_is_over_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock(NOW)
    circuits = Circuits(CircuitRules(0, 60.0), str, clock)
    circuits.failed(KEY, "529")
    assert circuits.snapshot()
    for later in (60, -1):
        clock.now = NOW + later
        assert circuits.snapshot() == []


def test_the_last_used_are_kept() -> None:
    circuits = Circuits(CircuitRules(0, 60.0), str, Clock(NOW))
    circuits.failed(KEY, "529")
    for n in range(600):
        circuits.failed(circuit_key(str(n), "m"), "529")
        assert circuits.admit(KEY) == "open"


def test_they_are_bounded() -> None:
    circuits = Circuits(CircuitRules(0, 60.0), str, Clock(NOW))
    for n in range(2000):
        circuits.failed(circuit_key(str(n), "m" * 10_000), "529")
    assert len(circuits.snapshot()) == 512
    assert len(circuits.snapshot()[0]["model"]) == 100


def test_betas_with_limits_of_their_own_have_a_circuit() -> None:
    circuits = Circuits(CircuitRules(0, 60.0), str, Clock(NOW))
    circuits.failed(KEY._replace(own_limits="1M context"), "429")
    assert circuits.admit(KEY) == "closed"
    assert [circuit["model"] for circuit in circuits.snapshot()] == ["claude-opus-4-8 with 1M context"]


class Pair:
    """Two workers on machines whose clocks differ by an hour."""

    def __init__(self) -> None:
        self.clock, self.other_clock = Clock(NOW), Clock(NOW - 3600)
        self.facts: list[CircuitChanged] = []
        self.other = Circuits(CircuitRules(0, 60.0), str, self.other_clock)
        self.one = Circuits(CircuitRules(0, 60.0), str, self.clock, self._pass_on)

    def _pass_on(self, fact: CircuitChanged) -> None:
        self.facts.append(fact)
        self.other.take(fact)

    def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        self.other_clock.now += seconds


def test_a_limit_that_one_worker_saw_holds_for_the_other(caplog: pytest.LogCaptureFixture) -> None:
    pair = Pair()
    pair.one.rejected(KEY, NOW + 7200, "limit reached")
    assert (pair.other.admit(KEY), pair.other.reason(KEY)) == ("open", "limit reached")
    assert [one["until"] for one in pair.other.snapshot()] == [NOW - 3600 + 7200]
    assert len(caplog.records) == 1, "a change is logged once, however many workers take it over"
    pair.wait(PROBE_EVERY + OTHERS_PROBE_LATER[1])
    assert pair.one.admit(KEY) == "probe"
    assert pair.other.admit(KEY) == "open", "one of them probes"
    pair.one.succeeded(KEY)
    assert pair.other.admit(KEY) == "closed"


def test_who_saw_it_probes_first_and_the_other_if_nobody_does() -> None:
    pair = Pair()
    pair.one.rejected(KEY, NOW + 7200, "limit reached")
    pair.wait(PROBE_EVERY + OTHERS_PROBE_LATER[0] - 0.1)
    assert pair.other.admit(KEY) == "open"
    pair.wait(OTHERS_PROBE_LATER[1] - OTHERS_PROBE_LATER[0] + 0.2)
    assert pair.other.admit(KEY) == "probe"


def test_only_what_changes_is_published() -> None:
    pair = Pair()
    pair.one.succeeded(KEY)
    pair.one.released(KEY)
    assert pair.facts == []
    pair.one.failed(KEY, "529")
    pair.one.failed(KEY, "529")  # from a request that began earlier
    assert pair.one.admit(KEY) == "open"
    assert len(pair.facts) == 1
    pair.one.publish_all()
    assert [one._replace(again=False) for one in pair.facts[1:]] == pair.facts[:1]
    assert pair.facts[1].again
    pair.wait(60)
    pair.one.publish_all()  # it has ended
    assert len(pair.facts) == 2


def test_whoever_begins_puts_off_no_probe_of_others() -> None:
    """What is published again for it tells those nothing who know it."""
    pair = Pair()
    pair.one.failed(KEY, "529")
    pair.wait(50)
    before = pair.other.snapshot()
    for _ in range(10):
        pair.one.publish_all()
        pair.other.publish_all()
    assert pair.other.snapshot() == before
    pair.wait(10 + OTHERS_PROBE_LATER[1])
    assert pair.other.admit(KEY) == "probe"


@given(fact=st.builds(CircuitChanged, own_limits=st.text(), model=st.text(), is_open=st.booleans(),
                      ends_in=st.floats(allow_nan=False), probe_in=st.floats(allow_nan=False)))  # fmt: skip
def test_no_fact_closes_the_way_to_anthropic_for_ever(fact: CircuitChanged) -> None:
    clock = Clock(NOW)
    circuits = Circuits(CircuitRules(0, 60.0), str, clock)
    circuits.take(fact)
    clock.now += LONGEST_LIMIT + OTHERS_PROBE_LATER[1]
    assert circuits.admit(circuit_key(fact.credential, fact.model, fact.own_limits)) in ("probe", "closed")
