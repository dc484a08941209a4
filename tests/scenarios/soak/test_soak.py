"""A minute of `make soak`: nothing that callers fill is larger afterwards than it was."""

import sys

import pytest
from soak.run import requests_of, seconds_of, soak
from soak.scene import CONNECTIONS


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_a_minute_of_everything() -> None:
    report = soak(60.0, 20_000, reload_every=8.0)  # a third of the usual rate, as the suite has other things to do
    print(report)
    assert report.wrong == []
    assert report.requests > 5000
    assert report.most_open > CONNECTIONS / 2
    assert report.done["reloads"] >= 2
    assert report.done["log-ins"] >= 1


@pytest.mark.parametrize(("given", "seconds"), [("90s", 90), ("10m", 600), ("1h", 3600), ("1.5h", 5400)])
def test_durations(given: str, seconds: float) -> None:
    assert seconds_of(given) == seconds


@pytest.mark.parametrize("given", ["", "10", "-1m", "m", "1d"])
def test_no_durations(given: str) -> None:
    with pytest.raises(ValueError, match="it is no duration such as"):
        seconds_of(given)


def test_numbers_of_requests() -> None:
    assert requests_of("250000") == 250_000


@pytest.mark.parametrize("given", ["", "0", "-1", "1e6", "1,000", "many"])
def test_no_numbers_of_requests(given: str) -> None:
    with pytest.raises(ValueError, match="it is no number such as 1000000"):
        requests_of(given)
