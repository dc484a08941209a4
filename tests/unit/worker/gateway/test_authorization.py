"""Who may spend: what is remembered of callers who may not."""

import asyncio
import gc
from pathlib import Path
from typing import Any

import pytest

from claude_gatewayd.anthropic.request import ParsedRequest
from claude_gatewayd.config.model import Config
from claude_gatewayd.http1 import head
from claude_gatewayd.http1.server.exchange import Exchange
from claude_gatewayd.http1.upstream.pool import Pool
from claude_gatewayd.worker.assembly import anthropic_lane_settings
from claude_gatewayd.worker.gateway.authorization import Authorization
from claude_gatewayd.worker.gateway.call import Call, Refused
from claude_gatewayd.worker.gateway.caller import Caller
from claude_gatewayd.worker.gateway.known_credentials import KnownCredentials
from claude_gatewayd.worker.gateway.strangers import Strangers
from claude_gatewayd.worker.relay.relay import Relay
from tests.fakes.in_process_anthropic import Anthropic, Says
from tests.support.connection import FakeConnection

NOBODY: Any = None  # who comes with a named key


def call_of_a_stranger() -> Call:
    request = head.parse_request(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
    parsed = ParsedRequest("claude-opus-4-8", True)
    return Call(
        Exchange(FakeConnection(), request), Caller(b"c", False, frozenset()), b"/v1/messages", b"/v1/messages",
        "digest", b"{}", parsed, "claude-opus-4-8",
    )  # fmt: skip


def test_a_refusal_that_is_remembered_keeps_no_request(tmp_path: Path) -> None:
    async def ask() -> Authorization:
        anthropic = Anthropic()
        anthropic.answers.append(Says(401))
        relay = Relay(Pool(anthropic.connect))
        known = KnownCredentials(tmp_path / "known", "key")
        authorization = Authorization(known, Strangers("any"), relay, anthropic_lane_settings(Config()).origin, NOBODY)
        for _ in range(50):
            with pytest.raises(Refused, match="Anthropic rejects the credential"):
                await authorization.require(call_of_a_stranger())
        await asyncio.gather(*(authorization.require(call_of_a_stranger()) for _ in range(50)), return_exceptions=True)
        assert len(anthropic.asked) == 1
        return authorization

    authorization = asyncio.run(ask())
    gc.collect()
    assert sum(isinstance(one, Call) for one in gc.get_objects()) <= 1
    del authorization
