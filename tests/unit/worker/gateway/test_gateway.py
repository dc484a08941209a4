"""Compressed bodies of OpenAI's routes: what they become is bounded together, however many come at once."""

import asyncio
import threading
import time
from typing import Any

import pytest

from claude_gatewayd.http1 import content_coding, head
from claude_gatewayd.http1.flow import Budget, Bytes, OverBudget
from claude_gatewayd.worker.gateway.call import Call
from claude_gatewayd.worker.gateway.caller import Caller
from claude_gatewayd.worker.gateway.gateway import Gateway, GatewaySettings

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
        gateway = Gateway(settings, NOBODY, NOBODY, NOBODY, NOBODY, budget, NOBODY, NOBODY, NOBODY)

        async def one() -> None:
            given: Any = Given(budget)
            call = Call(given, Caller(b"x", False, frozenset()), b"/v1/chat/completions", b"/v1/chat/completions")
            await gateway._read_decoded(call)

        return await asyncio.gather(*(one() for _ in range(8)), return_exceptions=True)

    results = asyncio.run(live())
    assert [type(result) for result in results].count(OverBudget) == 6, results
    assert max(peaks) <= BUDGET
