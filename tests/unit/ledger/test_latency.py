import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gatewayd.ledger import latency


@pytest.mark.parametrize("milliseconds", [1.0, 1.7, 12.0, 250.0, 3_600.0, 600_000.0, 86_400_000.0])
def test_what_stands_for_a_bin_is_near(milliseconds: float) -> None:
    assert latency.middle_of(latency.bin_of(milliseconds)) == pytest.approx(milliseconds, rel=0.026)


def test_a_percentile_is_in_the_bin_of_its_request() -> None:
    durations = [float(n) for n in range(1, 1001)]
    counts: dict[int, int] = {}
    for each in durations:
        counts[latency.bin_of(each)] = counts.get(latency.bin_of(each), 0) + 1
    assert latency.percentile(counts, 0.5) == pytest.approx(500, rel=0.03)
    assert latency.percentile(counts, 0.95) == pytest.approx(950, rel=0.03)
    assert latency.percentile(counts, 1.0) == pytest.approx(1000, rel=0.03)


def test_without_requests_there_is_none() -> None:
    assert latency.percentile({}, 0.5) is None


@pytest.mark.parametrize("milliseconds", [0.0, -3.0, 1.0])
def test_no_time_is_the_first_bin(milliseconds: float) -> None:
    assert latency.bin_of(milliseconds) == 0


def test_no_duration_is_beyond_the_last_bin() -> None:
    assert latency.bin_of(1e15) == latency.bin_of(1e12) == 400


@given(st.floats(1.0, 1e13))
def test_bins_are_a_twentieth_wide(milliseconds: float) -> None:
    number = latency.bin_of(milliseconds)
    assert abs(number - min(400, math.ceil(math.log(milliseconds) / math.log(1.05)))) in (0, 1)
    assert number == 400 or 1.05 ** (number - 1) <= milliseconds * (1 + 1e-9)
    assert number == 400 or milliseconds <= 1.05**number * (1 + 1e-9)


@given(st.lists(st.floats(-1.0, 1e13)))
def test_many_are_counted_as_one_by_one(durations: list[float]) -> None:
    assert latency.bins_of(durations) == Counter(map(latency.bin_of, durations))
