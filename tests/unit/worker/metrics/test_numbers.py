"""The numbers of several workers as one: each by its sense."""

import json
from typing import Any

import pytest

from claude_gatewayd.worker.metrics.counts import RequestCounts
from claude_gatewayd.worker.metrics.loop_lag import LoopLag
from claude_gatewayd.worker.metrics.numbers import Numbers, essence, from_pieces, pieces, together
from tests.support.answered import record
from tests.support.worker_status import NOW, STATUS


def counted(times: int, **status: Any) -> Numbers:
    counts, lag = RequestCounts(lambda model, upstream: model), LoopLag()
    for _ in range(times):
        counts.note(record())
        lag.note(0.003)
    return Numbers(counts.by_key, lag, essence(STATUS | status))


def test_there_and_back() -> None:
    numbers = counted(3)
    back = from_pieces(json.loads(json.dumps(list(pieces(numbers)))))
    assert (back.lag.bins, back.lag.sum, back.status) == (numbers.lag.bins, numbers.lag.sum, numbers.status)
    (key, sums), (key_back, sums_back) = *numbers.counts.items(), *back.counts.items()
    assert key == key_back
    assert {name: getattr(sums, name) for name in sums.__slots__} == {
        name: getattr(sums_back, name) for name in sums.__slots__
    }


@pytest.mark.parametrize(
    "found", [[], [{}], [{"lag": [0.0], "status": {}, "keys": []}], [{"lag": None, "status": {}, "keys": []}]]
)
def test_what_cannot_be_added_up(found: list[Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  also list's own
        from_pieces(found)


def test_each_by_its_sense() -> None:
    failing = {"anthropic": {"state": "failing", "last_success": 5.0, "last_failure": 9.0}}
    ok = {"anthropic": {"state": "ok", "last_success": 8.0, "last_failure": None}}
    ends = {"credentials": {"keys_end": NOW + 60, "token_ends": None, "works_until": NOW + 7}}
    off = {"litellm": {"state": "off", "version": "1"}, "memory": None, "config_loaded_at": 1.0}
    whole = together(counted(1, **ok), [counted(2, **failing, **ends, **off)], [counted(4)])
    (sums,) = whole.counts.values()
    assert (sums.requests, sum(sums.durations), sum(whole.lag.bins)) == (7, 7, 7)
    status = whole.status
    assert (status["streams"], status["under_way"], status["connections"]) == (4, 6, 8)
    assert status["anthropic"]["state"] == "failing"
    assert (status["bedrock"]["last_success"], status["bedrock"]["last_failure"]) == (None, 4.0)
    assert status["credentials"] == {"keys_end": NOW + 60, "token_ends": NOW - 1, "works_until": NOW + 7}
    assert status["ledger"] == {"waiting": 10, "spilled": 12, "dropped": 21, "written": 24}
    assert (status["litellm"]["state"], status["memory"], status["config_loaded_at"]) == ("off", 12345678, 1.0)
    assert status["circuits"] == 1
