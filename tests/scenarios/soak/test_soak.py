"""A minute of `make soak`: nothing that callers fill is larger afterwards than it was."""

import sys

import pytest
from soak.clients import Found
from soak.run import RATE, miscounted, missing_lines, seconds_of, soak


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_a_minute_of_everything() -> None:
    report = soak(60.0, RATE / 4, reload_every=10.0)  # a quarter, as the suite has other things to do
    print(report)
    assert report.wrong == []
    assert sum(found.requests for found in report.asked) > 5000
    assert report.done["reloads"] >= 2
    assert report.done["log-ins"] >= 1


@pytest.mark.parametrize(("given", "seconds"), [("90s", 90), ("10m", 600), ("1h", 3600), ("1.5h", 5400)])
def test_durations(given: str, seconds: float) -> None:
    assert seconds_of(given) == seconds


@pytest.mark.parametrize("given", ["", "10", "-1m", "m", "1d"])
def test_no_durations(given: str) -> None:
    with pytest.raises(ValueError, match="it is no duration such as"):
        seconds_of(given)


def test_what_the_log_lacks() -> None:
    log = {"INFO supervisor: generation # serves after # s": 2, "WARNING the circuit of # opens": 1, "ERROR x": 1}
    assert missing_lines(log, {"reloads": 1}) == ["the log has 0 times 'drains', not 1", "ERROR x"]
    assert missing_lines({**log, "INFO generation # drains": 1}, {"reloads": 1}) == ["ERROR x"]


def test_a_row_for_each_request() -> None:
    found = Found({"message": 90, "metrics": 10})
    assert miscounted([found], 90) == []
    assert miscounted([found], 89) == ["the ledger has 89 rows of 90 requests"]
    assert miscounted([found, found], 201) == ["the ledger has 201 rows of 180 requests"]
