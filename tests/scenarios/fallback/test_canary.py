"""What a caller brings stays with Anthropic: it is in nothing that Bedrock gets, and in nothing that is written.

Nor is it in anything that LiteLLM has: a callback of the person's own writes down all that it is given and all that
comes in at LiteLLM's door, and turns LiteLLM's own log on, with all that it says at DEBUG.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.anthropic_faults import MESSAGES
from tests.fakes.bedrock import FakeBedrock
from tests.support.canary import CANARY, hold_nowhere, holds
from tests.support.daemon import Daemon, wait_until
from tests.support.stage import MODEL, THROUGH, Stage, asking, turn

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
[litellm]
config = "DIRECTORY/config.yaml"
[log]
level = "debug"
"""
LITELLM = """
model_list:
  - model_name: echo
    litellm_params: {model: openai/echo, api_key: none, mock_response: from the mock}
  - model_name: absent
    litellm_params: {model: openai/absent, api_key: none, api_base: "http://127.0.0.1:9"}
litellm_settings: {callbacks: spy.spy}
"""
SPY = """
import logging
import pathlib
from litellm.integrations.custom_logger import CustomLogger

HERE = pathlib.Path(__file__).parent
for name in ("LiteLLM", "LiteLLM Proxy", "LiteLLM Router", "openai", "httpx"):
    logging.getLogger(name).addHandler(logging.FileHandler(HERE / "debug"))
    logging.getLogger(name).setLevel(logging.DEBUG)

def note(name, *given):
    with (HERE / "records").open("a") as out:
        out.write(f"{name} {given!r}\\n")

class Spy(CustomLogger):
    def log_pre_api_call(self, model, messages, kwargs):
        note("pre", kwargs)

    def log_post_api_call(self, kwargs, response_obj, start_time, end_time):
        note("post", kwargs, response_obj)

    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        note("success", kwargs, response_obj, kwargs["standard_logging_object"])

    async def async_log_failure_event(self, kwargs, response_obj, start_time, end_time):
        note("failure", kwargs, response_obj, kwargs.get("standard_logging_object"))

    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        note("call", user_api_key_dict, data)

    async def async_post_call_failure_hook(self, request_data, original_exception, *more, **named):
        note("failed", request_data, original_exception, more, named)

spy = Spy()

class Door:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def heard():
            message = await receive()
            note("received", message)
            return message

        note("asked", scope)
        await self.app(scope, heard, send)

from litellm.proxy import proxy_server
proxy_server.app.add_middleware(Door)
"""
TOKEN = f"sk-ant-oat01-{CANARY}-bearer-AA"
KEY = f"sk-ant-api03-{CANARY}-key-AA"


def chat(model: str) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]}).encode()


@pytest.fixture(params=THROUGH)
def stage(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    (tmp_path / "config.yaml").write_text(LITELLM)
    (tmp_path / "spy.py").write_text(SPY)
    with FakeAnthropic() as anthropic, FakeBedrock(canaries=[CANARY.encode()]) as bedrock:
        environ = asking(bedrock, request.param) | {"LITELLM_LOG": "DEBUG"}
        config = CONFIG.replace("DIRECTORY", str(tmp_path))
        daemon = Daemon(upstream=anthropic.url, config=config, environ=environ)
        with daemon:
            stage = Stage(anthropic, bedrock, daemon, TOKEN)
            stage.wait_loaded()
            yield stage
            anthropic.release()
            bedrock.release()


def test_every_lane_and_every_failure(stage: Stage, tmp_path: Path) -> None:
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
        ask(chat(MODEL), "/v1/chat/completions")

    each()
    for model in ("echo", "absent", "nobodys", f"{MODEL}-bedrock"):
        ask(chat(model), "/v1/chat/completions")
        ask(turn(model=model, stream=False))
        ask(turn(model=model, stream=False), "/v1/messages/count_tokens")
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
    records, debug = tmp_path / "records", tmp_path / "debug"
    words = ("pre ", "success ", "failure ", "call ", "failed ", "asked ", "received ", "standard_logging", "'hi'")
    wait_until(lambda: all(word in records.read_text() for word in words))
    assert "POST Request Sent from LiteLLM" in debug.read_text()
    assert not holds(records.read_bytes())
    assert not holds(debug.read_bytes())
    # nor does Anthropic, or a log, get what is AWS's
    for secret in (bedrock.key.secret, bedrock.key.token or "", bedrock.key.access_key):
        assert secret not in stage.daemon.log
        assert [r for r in anthropic.requests if secret.encode() in r.head + r.body] == []
