"""What the gateway itself sees to: compressed bodies are bounded together, and no request goes uncounted."""

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from claude_gatewayd.http1 import content_coding, head
from claude_gatewayd.http1.flow import Budget, Bytes, OverBudget
from claude_gatewayd.http1.server.exchange import Exchange
from claude_gatewayd.worker.gateway.call import Call
from claude_gatewayd.worker.gateway.caller import Caller
from claude_gatewayd.worker.gateway.gateway import Gateway, GatewaySettings
from claude_gatewayd.worker.gateway.introduction import Remembered
from claude_gatewayd.worker.gateway.recording.recorder import UsageRecorder
from claude_gatewayd.worker.tally import Tally
from tests.support.connection import FakeConnection

if TYPE_CHECKING:
    from claude_gatewayd.ledger.usage_record import UsageRecord

NOBODY: Any = None
BODY = b"x" * 60
BUDGET = 150


class Given:
    """A request whose compressed body has come."""

    head = head.parse_request(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n\r\n")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    async def hold(self, *_: object) -> Bytes:
        """Return the body."""
        return b"coded"

    def charge(self, size: int) -> None:
        """Charge the budget."""
        self._budget.left -= size


def test_bodies_that_expand_at_once_stay_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    lock, held, peaks = threading.Lock(), [0], [0]

    def expanded(_coding: bytes, _body: Bytes, most: int) -> bytes:
        with lock:
            held[0] += min(most, len(BODY))
            peaks.append(held[0])
        time.sleep(0.02)
        if most < len(BODY):
            with lock:
                held[0] -= most
            raise content_coding.TooMuch
        return BODY

    monkeypatch.setattr(content_coding, "expanded", expanded)

    async def live() -> list[Any]:
        budget = Budget(BUDGET)
        settings = GatewaySettings(frozenset(), "key", False, "", {}, 100)
        gateway = Gateway(settings, NOBODY, NOBODY, NOBODY, NOBODY, budget, NOBODY, NOBODY, NOBODY, NOBODY)

        async def one() -> None:
            given: Any = Given(budget)
            call = Call(given, Caller(b"x", False, frozenset()), b"/v1/chat/completions", b"/v1/chat/completions")
            await gateway._read_decoded(call)

        return await asyncio.gather(*(one() for _ in range(8)), return_exceptions=True)

    results = asyncio.run(live())
    assert [type(result) for result in results].count(OverBudget) == 6, results
    assert max(peaks) <= BUDGET


@pytest.mark.parametrize("is_answered", [False, True], ids=["before its answer", "behind its answer"])
def test_a_fault_of_ours_is_counted_and_recorded(is_answered: bool) -> None:
    records: list[UsageRecord] = []
    tally = Tally(lambda: None)

    async def live() -> None:
        exchange = Exchange(FakeConnection(), head.parse_request(b"GET / HTTP/1.1\r\nHost: x\r\nX-Api-Key: y\r\n\r\n"))
        settings = GatewaySettings(frozenset({"x"}), "key", False, "", {}, 100)
        if is_answered:
            exchange.reply(404, b"Not Found", [], b"")
        recorder = UsageRecorder("me@here", "00000000", lambda *_: None)
        recorder.hand_to(records.append)
        gateway = Gateway(settings, NOBODY, NOBODY, NOBODY, NOBODY, NOBODY, tally, recorder, NOBODY, NOBODY)
        with pytest.raises(AttributeError):  # for there is nobody that knows credentials
            await gateway.handle(exchange, Remembered())
        recorder.settle()

    asyncio.run(live())
    status = 404 if is_answered else 500
    assert [(record.status, record.upstream) for record in records] == [(status, "none")]
    assert tally.snapshot()["requests"] == {str(status): 1}
    assert tally.under_way == 0
