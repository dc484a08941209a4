"""Which pages are answered, to whom, and when a load balancer is told to look elsewhere."""

import asyncio
from typing import Any

import pytest

from claude_gatewayd.http1 import head
from claude_gatewayd.http1.server.exchange import Exchange
from claude_gatewayd.ipc import proof
from claude_gatewayd.worker.gateway.call import Refused
from claude_gatewayd.worker.gateway.guard import Rejection
from claude_gatewayd.worker.gateway.keys import own_page
from claude_gatewayd.worker.gateway.keys.own_page import KeyPage
from claude_gatewayd.worker.gateway.own_pages import LIVE, PATHS, READY, OwnPages
from claude_gatewayd.worker.metrics.metrics import PATH as METRICS
from tests.support.connection import FakeConnection

NOBODY: Any = None
PAGE = KeyPage(NOBODY)
FOREIGN = Rejection(421, "cannot serve this Host")


def asked(path: bytes, *, leaves: bool, rejection: Rejection | None = None) -> int:
    async def ask() -> int:
        pages = OwnPages("key", NOBODY, PAGE, open_metrics=False)
        if leaves:
            pages.leave()
        exchange = Exchange(FakeConnection(), head.parse_request(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path))
        assert await pages.answer(exchange, path, NOBODY, rejection) == 0, "it is not counted"
        return exchange.status

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("path", "leaves", "status"), [(LIVE, False, 200), (LIVE, True, 200), (READY, False, 200), (READY, True, 503)]
)
@pytest.mark.parametrize("rejection", [None, FOREIGN], ids=["a known host", "a foreign host"])
def test_health_checks(path: bytes, leaves: bool, status: int, rejection: Rejection | None) -> None:
    assert asked(path, leaves=leaves, rejection=rejection) == status


@pytest.mark.parametrize("path", sorted(PATHS - {LIVE, READY}))
def test_what_has_content_heeds_the_guard(path: bytes) -> None:
    with pytest.raises(Refused, match="cannot serve this Host"):
        asked(path, leaves=False, rejection=FOREIGN)


def test_the_pages() -> None:
    assert {LIVE, READY, METRICS, proof.PATH, own_page.PATH} == PATHS
