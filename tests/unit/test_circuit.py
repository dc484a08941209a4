"""When Anthropic is left alone, and when it is asked again."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gatewayd.circuit import CLOSED, PROBE_EVERY, PROBE_LASTS, Circuit, Circuits, Rules, reset_of

NOW = 1_800_000_000.0
RULES = Rules(allowed_fails=1, cooldown_time=60.0)
KEY = ("1f3a", "claude-opus-4-8")


@pytest.mark.parametrize(("allowed", "fails", "is_open"), [(0, 1, True), (1, 1, False), (1, 2, True), (3, 3, False)])
def test_more_than_the_allowed_failures_open_it(allowed: int, fails: int, is_open: bool) -> None:
    circuit = CLOSED
    for n in range(fails):
        circuit = circuit.failed(NOW + n, "529", Rules(allowed, 60.0))
    assert circuit.is_open is is_open


def test_failures_count_together_for_a_minute() -> None:
    assert not CLOSED.failed(NOW, "529", RULES).failed(NOW + 61, "529", RULES).is_open
    assert CLOSED.failed(NOW, "529", RULES).failed(NOW + 59, "529", RULES).is_open


@pytest.mark.parametrize(
    ("after", "standing"), [(0, "open"), (59, "open"), (60, "probe"), (600, "probe"), (-5, "probe")]
)
def test_after_failures_it_cools_down(after: float, standing: str) -> None:
    circuit = CLOSED.failed(NOW, "529", Rules(0, 60.0))
    assert circuit.ask(NOW + after) == standing


@pytest.mark.parametrize(
    ("reset", "probed_after"),
    [(3600.0, PROBE_EVERY), (100.0, 100.0), (-5.0, 60.0), (9 * 86400.0, 60.0)],
)
def test_a_reached_limit(reset: float, probed_after: float) -> None:
    circuit = CLOSED.rejected(NOW, NOW + reset, "limit reached", RULES)
    assert circuit.ask(NOW + probed_after - 1) == "open"
    assert circuit.ask(NOW + probed_after) == "probe"


def test_one_probe_at_a_time() -> None:
    circuit = CLOSED.failed(NOW, "529", Rules(0, 60.0))
    probing = circuit.probing(NOW + 60)
    assert probing.ask(NOW + 61) == "open"
    assert probing.ask(NOW + 60 + PROBE_LASTS) == "probe"  # it was lost
    assert probing.released(NOW + 61).ask(NOW + 61) == "probe"
    failed = probing.failed(NOW + 61, "529", RULES)
    assert failed.ask(NOW + 120) == "open"
    assert failed.ask(NOW + 121) == "probe"
    assert failed.released(NOW + 62) == failed  # after a verdict there is nothing to give back


def test_a_probe_that_fails_leaves_the_limit() -> None:
    circuit = CLOSED.rejected(NOW, NOW + 3600, "limit reached", RULES).probing(NOW + 300)
    failed = circuit.failed(NOW + 301, "529", RULES)
    assert failed.until == NOW + 3600
    assert failed.ask(NOW + 600) == "open"
    assert failed.ask(NOW + 601) == "probe"


@pytest.mark.parametrize(
    ("value", "reset"), [(b"1800000000", 1.8e9), (b"", 0.0), (b"soon", 0.0), (b"nan", 0.0), (b"inf", 0.0)]
)
def test_the_reset_in_a_header(value: bytes, reset: float) -> None:
    assert reset_of({b"anthropic-ratelimit-unified-reset": value}) == reset


@given(st.lists(st.tuples(st.sampled_from(["fail", "reject", "probe", "release"]), st.floats(0, 400)), max_size=20))
def test_it_is_never_open_beyond_its_span(steps: list[tuple[str, float]]) -> None:
    circuit: Circuit = CLOSED
    now = NOW
    for what, later in steps:
        now += later
        if what == "fail":
            circuit = circuit.failed(now, "529", RULES)
        elif what == "reject":
            circuit = circuit.rejected(now, now + 1000, "limit", RULES)
        elif what == "probe" and circuit.ask(now) == "probe":
            circuit = circuit.probing(now)
            assert circuit.ask(now) == "open"
        else:
            circuit = circuit.released(now)
    assert circuit.ask(now + 1001) in ("closed", "probe")


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def test_all_of_them(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    circuits = Circuits(Rules(0, 60.0), lambda digest: f"cred-{digest[:2]}", clock)
    other = ("ffff", KEY[1])
    circuits.failed(KEY, "529")
    assert (circuits.ask(KEY), circuits.ask(other), circuits.ask((KEY[0], "claude-haiku-4-5"))) == (
        "open",
        "closed",
        "closed",
    )
    assert circuits.why(KEY) == "529"
    assert circuits.snapshot() == [{"credential": "cred-1f", "model": KEY[1], "why": "529", "until": round(NOW + 60)}]
    clock.now += 61
    assert (circuits.ask(KEY), circuits.ask(KEY)) == ("probe", "open")
    circuits.succeeded(KEY)
    assert circuits.ask(KEY) == "closed"
    assert circuits.snapshot() == []
    assert len(caplog.messages) == 2  # one line a change
    assert all("cred-1f" in line for line in caplog.messages)


def test_they_are_bounded() -> None:
    circuits = Circuits(Rules(0, 60.0), str, Clock())
    for n in range(2000):
        circuits.failed((str(n), "m" * 10_000), "529")
    assert len(circuits.snapshot()) == 512
    assert len(circuits.snapshot()[0]["model"]) == 100
