"""What a caller brings stays with Anthropic: it is in nothing that Bedrock gets, and in nothing that is written."""

import json
from collections.abc import Iterator

import pytest

from tests.daemon import Daemon
from tests.fakes.anthropic import MESSAGES, FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.fallback.stage import MODEL, Stage, keys_of, turn
from tests.relay.test_canary import CANARY, hold_nowhere, holds

pytestmark = pytest.mark.slow

CONFIG = """
[anthropic]
first_byte_timeout = 1
[router]
num_retries = 0
allowed_fails = 1
cooldown_time = 0.5
[bedrock]
timeout = 1
[log]
level = "debug"
"""
TOKEN = f"sk-ant-oat01-{CANARY}-bearer-AA"
KEY = f"sk-ant-api03-{CANARY}-key-AA"
CHAT = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}).encode()


@pytest.fixture
def stage() -> Iterator[Stage]:
    with FakeAnthropic() as anthropic, FakeBedrock(canaries=[CANARY.encode()]) as bedrock:
        environ = keys_of(bedrock) | {"LITELLM_LOG": "DEBUG"}
        daemon = Daemon(upstream=anthropic.url, config=CONFIG, environ=environ)
        with daemon:
            stage = Stage(anthropic, bedrock, daemon, TOKEN)
            stage.wait_loaded()
            yield stage
            anthropic.release()
            bedrock.release()


def test_every_lane_and_every_failure(stage: Stage) -> None:
    anthropic, bedrock = stage.anthropic, stage.bedrock
    seen: set[int] = set()

    def ask(body: bytes, path: str = "/v1/messages?beta=true") -> None:
        for headers, token in (({}, TOKEN), ({"x-api-key": KEY}, "")):
            reply = stage.ask(body, path=path, token=token, headers=headers)
            seen.add(reply.status)
            assert not holds(repr(reply).encode())

    def each() -> None:
        for body in (turn(), turn(stream=False), turn(model=f"{MODEL}-bedrock")):
            ask(body)
        ask(CHAT, "/v1/chat/completions")

    each()
    for status in (400, 401, 429, 500, 529):
        anthropic.fail_next(status, times=8)
        each()
        anthropic.clear_faults()
    anthropic.first_event_error_next(times=4)
    each()
    anthropic.clear_faults()
    for kind in ("ThrottlingException", "ValidationException", "AccessDeniedException", "InternalServerException"):
        anthropic.fail_next(529, times=8)
        bedrock.fail_next(kind=kind, times=8, private=True)
        each()
        anthropic.clear_faults()
        bedrock.clear_faults()
    anthropic.fail_next(529, times=8)
    bedrock.exception_next("modelStreamErrorException", times=4)
    each()
    bedrock.clear_faults()
    bedrock.cut_next("mid-event", "reset", times=4)
    each()
    bedrock.clear_faults()
    bedrock.expire_key()
    each()
    bedrock.revive_key()
    anthropic.clear_faults()
    anthropic.refuse_connections()
    anthropic.close_idle_now()
    each()
    anthropic.accept_connections()
    assert {200, 400, 401, 403, 529} <= seen, seen
    assert [r for r in bedrock.requests if holds(r.head + r.body)] == []
    assert bedrock.violations == []
    assert any(CANARY.encode() in r.head for r in anthropic.requests if r.path == MESSAGES)
    hold_nowhere(stage.daemon)
    # nor does Anthropic, or a log, get what is AWS's
    for secret in (bedrock.key.secret, bedrock.key.token or "", bedrock.key.access_key):
        assert secret not in stage.daemon.log
        assert [r for r in anthropic.requests if secret.encode() in r.head + r.body] == []
