"""LiteLLM loaded when it is needed, with a configuration of the person's own; and the circuit. One daemon for all."""

import http.client
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from claude_gatewayd.config import loading as config_loading
from claude_gatewayd.ctl.doctor import gather
from claude_gatewayd.ctl.migrate.comparison import answers
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.fakes.bedrock_sigv4 import Key
from tests.support.daemon import Daemon, wait_until
from tests.support.stage import MODEL, Stage, keys_of, turn

pytestmark = pytest.mark.slow

CONFIG = """
[router]
num_retries = 0
allowed_fails = 0
cooldown_time = 3
fallback_on = [429, 503, 529]
[router.fallbacks]
"claude-opus-4-6" = ["claude-sonnet-4-6", "claude-haiku-4-5"]
[bedrock]
geography = "global"
[bedrock.models]
"claude-sonnet-5" = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/mine"
[litellm]
load = "lazy"
config = "CONFIG"
[aliases]
quick = "claude-haiku-4-5"
[ledger.prices]
echo = { input = 1000, output = 1000 }
[log]
level = "debug"
"""
LITELLM = """
model_list:
  - model_name: echo
    litellm_params: {model: openai/echo, api_key: none, mock_response: from the mock}
  - model_name: claude-opus-5-5
    litellm_params: {model: openai/other, api_key: none}
  - model_name: half
  - model_name: bedrock/own
    litellm_params: {model: bedrock/us.anthropic.claude-opus-4-8}
  - model_name: endless
    litellm_params: {model: openai/other, api_key: sk-in-the-file, max_agentic_loops: many}
  - model_name: nobodys
    litellm_params: {model: nobody/knows, api_key: sk-in-the-file}
  - model_name: key-of-mine
    litellm_params: {model: anthropic/claude-opus-4-8, api_base: ANTHROPIC, api_key: os.environ/LITELLM_KEY_OF_MINE}
  - model_name: rock
    litellm_params:
      model: bedrock/invoke/us.anthropic.claude-opus-4-8
      aws_access_key_id: os.environ/LITELLM_MY_KEY_ID
      aws_secret_access_key: os.environ/LITELLM_MY_SECRET
      aws_region_name: us-west-2
      aws_bedrock_runtime_endpoint: BEDROCK
router_settings: {num_retries: 5}
general_settings: {custom_auth: mine.auth, database_url: postgres://x}
litellm_settings:
  num_retries: 7
  max_budget: lots
  completion: none
  cache: true
  cache_params: {type: local}
  drop_params: true
  callbacks: [recorder.recorder, absent.thing, mlflow, nonsense]
  success_callback: [recorder.note, wandb, sentry]
"""
CREDENTIALS = """
[Sandbox.AdministratorAccess]
aws_access_key_id = {}
aws_secret_access_key = {}
"""
LASTING = Key("AKIAINVENTEDLASTING0", "c2VjcmV0LXRoYXQtbGFzdHMtZm9yLWV2ZXItMDAwMA==")
RECORDER = """
import neighbour
from litellm.integrations.custom_logger import CustomLogger

class Recorder(CustomLogger):
    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        neighbour.write("success", kwargs)

    async def async_log_failure_event(self, kwargs, response_obj, start_time, end_time):
        neighbour.write("failure", kwargs)

recorder = Recorder()

async def note(kwargs, response_obj, start_time, end_time):
    neighbour.write("note", kwargs)
"""
NEIGHBOUR = """
import json
import logging
import pathlib
levels = {name: logging.getLogger(name).level for name in ("asyncio", "LiteLLM")}
pathlib.Path(__file__).with_name("levels").write_text(json.dumps(levels))
FILE = pathlib.Path(__file__).with_name("records")
def write(what, kwargs):
    with FILE.open("a") as out:
        out.write(f"{what} {kwargs!r}\\n")
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Path]]:
    """Return a stage of its own, and the directory of LiteLLM's configuration.

    The keys are a profile's, and last; the session token in the environment belongs to other keys.
    """
    directory = tmp_path_factory.mktemp("litellm")
    (directory / "recorder.py").write_text(RECORDER)
    (directory / "neighbour.py").write_text(NEIGHBOUR)
    (directory / "credentials").write_text(CREDENTIALS.format(LASTING.access_key, LASTING.secret))
    with FakeAnthropic() as anthropic, FakeBedrock(key=LASTING) as bedrock:
        own = LITELLM.replace("ANTHROPIC", anthropic.url).replace("BEDROCK", bedrock.url)
        (directory / "config.yaml").write_text(own)
        bedrock.add_profile(
            "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/mine", "anthropic.claude-sonnet-5"
        )
        config = CONFIG.replace("CONFIG", str(directory / "config.yaml"))
        environ = {
            "AWS_SHARED_CREDENTIALS_FILE": str(directory / "credentials"),
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock.url,
            "AWS_REGION": bedrock.region,
            "AWS_SESSION_TOKEN": "of-other-keys",
            "LITELLM_KEY_OF_MINE": "sk-of-mine",
            "LITELLM_MY_KEY_ID": LASTING.access_key,
            "LITELLM_MY_SECRET": LASTING.secret,
        }
        with Daemon(upstream=anthropic.url, config=config, environ=environ) as daemon:
            yield Stage(anthropic, bedrock, daemon), directory


@pytest.fixture
def stage(own: tuple[Stage, Path]) -> Iterator[Stage]:
    """Return the stage for one caller."""
    stage = Stage(own[0].anthropic, own[0].bedrock, own[0].daemon)
    stage.anthropic.clear_faults()
    stage.bedrock.clear_faults()
    stage.prove()
    yield stage
    stage.anthropic.release()
    assert stage.anthropic.violations == []
    assert stage.bedrock.violations == []


def test_it_is_loaded_at_the_first_sign_of_trouble(stage: Stage) -> None:
    """And the request does not wait for it: Bedrock is asked directly meanwhile."""
    said = stage.daemon.status()["litellm"]
    assert (said["state"], said["version"]) == ("off", "1.106.2")
    assert stage.daemon.ctl("health").returncode == 0
    stage.anthropic.fail_next(529)
    reply = stage.ask(turn("good morning"))
    assert reply.status == 200, reply
    assert reply.headers["x-gateway-upstream"] == "bedrock"
    stage.wait_loaded()
    assert stage.daemon.ctl("health").returncode == 0


def test_what_of_the_configuration_is_not_used_is_told(stage: Stage, own: tuple[Stage, Path]) -> None:
    stage.ask(turn(model=f"{MODEL}-bedrock"))  # which Bedrock answers directly, while LiteLLM loads
    stage.wait_loaded()
    said = stage.daemon.status()["litellm"]
    file = own[1] / "config.yaml"
    problems = {problem["where"]: problem for problem in said["config"]["problems"]}
    assert said["config"]["path"] == str(file)
    assert set(problems) == {
        f"{file}:23 router_settings",
        f"{file}:24 general_settings",
        f"{file}:26 num_retries",
        f"{file}:27 max_budget",
        f"{file}:28 completion",
        f"{file}:29 cache",
        f"{file}:30 cache_params",
        f"{file}:5 model_name",
        f"{file}:2 model_list",
        f"{file}:8 model_name",
        f"{file}:10 model_name",
        f"{file}:12 model_name",
    }
    assert all(problem["hint"] for problem in problems.values())
    assert "could not convert" in problems[f"{file}:27 max_budget"]["message"]
    assert "one caller could get another's answer" in problems[f"{file}:29 cache"]["hint"]
    assert (
        "half" in problems[f"{file}:2 model_list"]["message"]
        or "number 3" in problems[f"{file}:2 model_list"]["message"]
    )
    assert '"bedrock/own" is not used' in problems[f"{file}:8 model_name"]["message"]
    assert "max_agentic_loops" in problems[f"{file}:10 model_name"]["message"]
    assert "does not know the provider" in problems[f"{file}:12 model_name"]["message"]
    assert "sk-in-the-file" not in str(said)
    callbacks = {callback["name"]: callback for callback in said["callbacks"]}
    assert callbacks["recorder.recorder"]["loaded"]
    assert callbacks["recorder.note"]["loaded"]
    assert not callbacks["absent.thing"]["loaded"]
    assert "No module named 'absent'" in callbacks["absent.thing"]["why"]
    assert callbacks["absent.thing"]["hint"] == ""
    assert callbacks["mlflow"]["why"] == "it needs mlflow>=3.11.1,<4, not installed here"
    assert callbacks["mlflow"]["hint"] == "claude-gatewayctl upgrade --with 'mlflow>=3.11.1,<4'"
    assert callbacks["nonsense"]["why"] == "LiteLLM has no callback of this name"
    assert callbacks["wandb"]["why"]
    assert callbacks["sentry"]["why"] == "it needs sentry-sdk>=2.21,<3, not installed here"
    text = stage.daemon.ctl("status").stdout
    assert "callback     absent.thing: not loaded: ModuleNotFoundError" in text
    assert "callback     recorder.recorder: loaded" in text
    assert "\n               claude-gatewayctl upgrade --with wandb\n" in text


def test_doctor_expects_of_a_name_what_answers_it(stage: Stage) -> None:
    """It goes by the gateway's order of lanes, which is written down in both places."""
    settings = config_loading.load(stage.daemon.environ)
    own_models = gather.own_models(settings.litellm.config, stage.daemon.environ)
    expected = {
        "quick": "anthropic", "claude-opus-4-8": "anthropic", "claude-opus-4-8-bedrock": "bedrock",
        "claude-opus-4-8[1m]": "anthropic", "us.anthropic.claude-opus-4-8": "bedrock", "echo": "litellm",
    }  # fmt: skip
    for name, provider in expected.items():
        assert answers.answer(name, settings, own_models).provider == provider
        reply = stage.ask(turn(model=name))
        assert (name, reply.status, reply.headers["x-gateway-upstream"]) == (name, 200, provider)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/completions"])
def test_a_model_of_the_persons(stage: Stage, path: str) -> None:
    body = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "hi"}]}).encode()
    reply = stage.ask(body, path=path)
    assert reply.status == 200, reply
    assert reply.json["choices"][0]["message"]["content"] == "from the mock"
    assert reply.headers["x-gateway-upstream"] == "litellm"
    stage.anthropic.good = {stage.token}
    try:
        assert stage.ask(body, path=path, token=f"forged-{path}").status == 401
    finally:
        stage.anthropic.good = None


def test_a_variable_that_is_named_there_is_given(stage: Stage) -> None:
    """Though LiteLLM sees none of its own in the environment, which are another's."""
    stage.ask(turn(model="key-of-mine", stream=False))
    (asked,) = stage.to_anthropic()
    stage.anthropic.violations.clear()  # LiteLLM sends headers that only the gateway's own lane must not
    assert asked.header("x-api-key") == "sk-of-mine"
    assert stage.token.encode() not in asked.head


def test_tokens_are_not_counted_for_a_model_of_the_persons(stage: Stage) -> None:
    """Anthropic does not know the model, LiteLLM would guess; Claude Code estimates by itself then."""
    reply = stage.ask(turn(model="key-of-mine"), path="/v1/messages/count_tokens")
    assert (reply.status, reply.json["error"]["type"]) == (501, "not_supported")
    assert reply.headers["x-should-retry"] == "false"
    assert stage.anthropic.requests == []


def test_a_caller_nobody_knows_asks_for_a_model_of_the_persons(stage: Stage) -> None:
    """The check is for a model that Anthropic has, whatever is asked for."""
    assert stage.ask(turn(model="rock"), token=f"{stage.token}-new").status == 200
    (check,) = stage.anthropic.requests
    assert check.path == "/v1/messages/count_tokens"
    assert check.json()["model"] == "claude-haiku-5-5"


def test_what_we_lose_ourselves_is_heard(own: tuple[Stage, Path], stage: Stage) -> None:
    """An error in a task of the gateway's is logged by asyncio, beside LiteLLM whose loggers are silent."""
    stage.ask(turn(model=f"{MODEL}-bedrock"))
    assert json.loads((own[1] / "levels").read_text()) == {"asyncio": logging.WARNING, "LiteLLM": logging.CRITICAL}


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_where_litellm_asked_is_told(stage: Stage, path: str, stream: bool) -> None:
    reply = stage.ask(turn(model="rock", stream=stream), path=path)
    assert reply.status == 200, reply
    assert reply.headers["x-gateway-upstream"] == "litellm"
    assert reply.headers["x-litellm-model-api-base"].startswith(stage.bedrock.url), reply


def test_what_models_of_ones_own_cost(stage: Stage) -> None:
    """One by LiteLLM's map, of what it stands for; another by a price of one's own."""
    reached = http.client.HTTPConnection("127.0.0.1", stage.daemon.port, timeout=60)
    key = stage.daemon.ctl("key").stdout.strip()

    def numbers(name: str, model: str) -> list[float]:
        reached.request("GET", "/metrics", headers={"x-gateway-key": key})
        lines = reached.getresponse().read().decode().splitlines()
        wanted = (f"claude_gateway_{name}_total{{", f'model="{model}"', 'upstream="litellm"')
        return [float(line.rpartition(" ")[2]) for line in lines if all(part in line for part in wanted)]

    names = ("cost_usd", "tokens", "unpriced_requests")
    for model in ("rock", "echo"):
        before = [sum(numbers(name, model)) for name in names]
        for stream in (True, False):
            assert stage.ask(turn(model=model, stream=stream)).status == 200

        def grown(model: str = model, before: list[float] = before) -> list[float]:
            return [sum(numbers(name, model)) - was for name, was in zip(names, before, strict=True)]

        wait_until(lambda: grown()[1] > 0)  # a client may have its answer before that is counted
        cost, _tokens, unpriced = grown()
        assert cost > 0
        assert unpriced == 0
    reached.close()


def test_nobody_but_the_gateway_speaks_to_litellm(stage: Stage) -> None:
    """There is no file to connect to; and the port that it comes back to us by needs a ticket."""
    stage.ask(turn(model=f"{MODEL}-bedrock"))
    assert [path.name for path in stage.daemon.runtime.rglob("*") if path.is_socket()] == ["control.sock"]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_keys_that_last_have_no_session_token(stage: Stage, stream: bool) -> None:
    """A Bedrock would refuse them with the one of the environment; neither ours nor the person's own get it."""
    for model in (f"{MODEL}-bedrock", "rock"):
        reply = stage.ask(turn("good morning", model=model, stream=stream))
        assert reply.status == 200, reply
        assert "good morning" in reply.text
    assert [asked.header("x-amz-security-token") for asked in stage.to_bedrock()] == [None, None]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_no_account_in_what_litellm_says_of_a_failure(stage: Stage, path: str) -> None:
    body = json.dumps({"model": "rock", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}).encode()
    stage.bedrock.fail_next(kind="AccessDeniedException", private=True)
    reply = stage.ask(body, path=path)
    assert reply.status == 403, reply
    assert "not authorized" in reply.json["error"]["message"]
    assert reply.json.get("type") == ("error" if path == "/v1/messages" else None)  # in the words of the route
    assert "***" in reply.json["error"]["message"]
    assert "arn:" not in str(reply)
    assert "123456789012" not in str(reply)
    stage.bedrock.refusals.clear()


def test_no_account_in_an_error_amid_litellms_stream(stage: Stage) -> None:
    stage.bedrock.exception_next("modelStreamErrorException", private=True)
    chat = {"model": "rock", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9, "stream": True}
    reply = stage.ask(json.dumps(chat).encode(), path="/v1/chat/completions")
    assert reply.status == 200, reply
    assert b'"error"' in reply.body
    assert b"***" in reply.body
    assert b"arn:" not in reply.body
    assert b"123456789012" not in reply.body


def test_callbacks_see_no_callers_token(stage: Stage, own: tuple[Stage, Path]) -> None:
    records = own[1] / "records"
    stage.ask(turn("to be recorded", model=f"{MODEL}-bedrock"))
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "to be recorded too"}]}).encode()
    assert stage.ask(body, path="/v1/chat/completions").status == 200
    stage.bedrock.fail_next(kind="ValidationException")
    stage.ask(turn("to fail", model=f"{MODEL}-bedrock"))
    stage.anthropic.fail_next(400)
    stage.ask(body, path="/v1/chat/completions")

    def written() -> str:
        return records.read_text() if records.exists() else ""

    words = ("note ", "success ", "failure ", "recorded too")
    wait_until(lambda: all(word in written() for word in words), describe=written)
    assert "warming up" not in written()  # it is nobody's request
    assert "sk-ant-" not in written()
    assert stage.token not in written()
    assert "sk-ant-" not in stage.daemon.log


def test_models_named_by_the_person(stage: Stage) -> None:
    """An application inference profile, whose family LiteLLM cannot know; its account is nobody's business."""
    reply = stage.ask(turn(model="claude-sonnet-5-bedrock", thinking={"type": "adaptive"}, max_tokens=4096))
    assert reply.status == 200, reply
    (asked,) = stage.to_bedrock()
    assert "application-inference-profile" in asked.target
    assert asked.json()["thinking"] == {"type": "adaptive"}
    assert "123456789012" not in str(reply)


def test_other_models_in_the_place_of_one(stage: Stage) -> None:
    stage.anthropic.fail_next(529)
    stage.bedrock.fail_next(kind="ThrottlingException")
    reply = stage.ask(turn(model="claude-opus-4-6"))
    assert reply.status == 200, reply
    assert [asked.target.split("/")[2] for asked in stage.to_bedrock()] == [
        "global.anthropic.claude-sonnet-4-6",
        "global.anthropic.claude-haiku-4-5-20251001-v1:0",
    ]
    assert reply.events[0][1]["message"]["model"] == "claude-opus-4-6"


def test_a_model_that_lacks_what_is_asked_for_is_passed_over(stage: Stage) -> None:
    stage.anthropic.fail_next(529)
    tool = {"type": "computer_20250124", "name": "computer", "display_width_px": 1024, "display_height_px": 768}
    assert stage.ask(turn(model="claude-opus-4-6", tools=[tool])).status == 200
    (asked,) = stage.to_bedrock()
    assert asked.target.split("/")[2] == "global.anthropic.claude-haiku-4-5-20251001-v1:0"


def test_a_thread_that_it_does_not_know(stage: Stage) -> None:
    """It would answer the new messages alone; the client is asked for the whole conversation."""
    thread = {"type": "continue", "previous_message_id": "msg_01Invented"}
    reply = stage.ask(turn(model="echo", thread=thread))
    assert (reply.status, reply.json["error"]["details"]) == (404, {"error_code": "thread_not_found"})
    assert stage.ask(turn(model="echo", thread={"type": "create"}, stream=False)).text == "from the mock"


@pytest.mark.parametrize("wrong", ["yes", 1, {}], ids=str)
def test_a_request_with_a_mistake_goes_to_nobody_else(stage: Stage, wrong: Any) -> None:
    for model in ("echo", "claude-opus-4-8-bedrock"):
        reply = stage.ask(turn(model=model, stream=wrong))
        assert reply.status == 400, reply
        assert reply.error
        assert (stage.to_anthropic(), stage.to_bedrock()) == ([], [])


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_content_type_changes_nothing_about_whose_it_is(stage: Stage, kind: str) -> None:
    """curl without a header sends a form's."""
    assert stage.ask(turn(model="echo"), headers={"content-type": kind}).text == "from the mock"
    reply = stage.ask(turn(model=f"{MODEL}-bedrock"), headers={"content-type": kind})
    assert reply.headers["x-gateway-upstream"] == "bedrock"
    assert stage.to_anthropic() == []


def test_an_alias(stage: Stage) -> None:
    stage.anthropic.fail_next(529)
    reply = stage.ask(turn(model="quick"))
    assert reply.events[0][1]["message"]["model"] == "quick"
    (asked,) = stage.to_bedrock()
    assert "haiku" in asked.target


def test_an_open_circuit_goes_to_bedrock_alone(stage: Stage) -> None:
    assert stage.ask(turn(model=f"{MODEL}-bedrock")).status == 200  # loads LiteLLM: longer than the circuit is open
    stage.forget()
    stage.anthropic.fail_next(529)
    assert stage.ask().headers["x-gateway-fallback"] == "529"
    begun = time.monotonic()
    reply = stage.ask()
    assert reply.headers["x-gateway-fallback"] == "circuit open (529)"
    assert len(stage.to_anthropic()) == 1
    # the worker tells it a tenth of a second later
    wait_until(lambda: MODEL in {circuit["model"] for circuit in stage.daemon.status()["circuits"]})
    assert "Anthropic is skipped until" in stage.daemon.ctl("status").stdout
    # another model, another caller: not their trouble
    assert stage.ask(turn(model="claude-haiku-4-5")).headers["x-gateway-upstream"] == "anthropic"
    assert time.monotonic() - begun < 3
    wait_until(lambda: stage.ask().headers["x-gateway-upstream"] == "anthropic", 10)  # one probe, and it is closed
    assert stage.ask().headers["x-gateway-fallback"] == "none"


def test_an_open_circuit_and_bedrock_fails_too(stage: Stage) -> None:
    """So Anthropic is tried after all."""
    stage.anthropic.fail_next(529)
    stage.ask()
    stage.bedrock.fail_next(kind="ThrottlingException")
    reply = stage.ask()
    assert reply.status == 200
    assert reply.headers["x-gateway-upstream"] == "anthropic"
    assert reply.headers["x-gateway-fallback"] == "circuit open (529); bedrock ThrottlingException 429"


def test_an_open_circuit_and_both_fail(stage: Stage) -> None:
    """What Anthropic says then, though it was asked last, is the answer; and the cause at Bedrock is told with it."""
    assert stage.ask(turn(model=f"{MODEL}-bedrock")).status == 200  # loads LiteLLM: longer than the circuit is open
    stage.anthropic.fail_next(529)
    assert stage.ask().headers["x-gateway-fallback"] == "529"
    stage.bedrock.fail_next(kind="ThrottlingException")
    stage.anthropic.fail_next(503, message="so it is", headers={"retry-after": "7"})
    reply = stage.ask()
    assert (reply.status, reply.error) == (503, "so it is")
    assert reply.headers["retry-after"] == "7"
    assert reply.headers["request-id"]
    assert reply.headers["x-gateway-upstream"] == "anthropic"
    assert reply.headers["x-gateway-fallback"].startswith("circuit open (529); bedrock ThrottlingException")
    stage.bedrock.fail_next(kind="ExpiredTokenException")
    stage.anthropic.first_event_error_next("overloaded_error", message="so it is")
    reply = stage.ask()
    assert reply.headers["x-gateway-fallback"].startswith("circuit open (")
    ((name, said),) = reply.events
    assert name == "error"
    assert said["error"]["message"].startswith("so it is. Bedrock could not step in: ")
    assert reply.headers["request-id"]


def test_what_is_not_to_be_fallen_back_on(stage: Stage) -> None:
    """It does not lead to Bedrock by the circuit either."""
    for _ in range(2):
        stage.anthropic.fail_next(500)
        reply = stage.ask()
        assert (reply.status, reply.headers["x-gateway-fallback"]) == (500, "none")
    assert stage.ask().headers["x-gateway-upstream"] == "anthropic"
    assert stage.to_bedrock() == []


def test_silence_is_broken_by_pings(stage: Stage) -> None:
    """A client that hears nothing for five minutes takes the answer for lost."""
    hold = stage.bedrock.hold_next("message_delta")
    connection = http.client.HTTPConnection("127.0.0.1", stage.daemon.port, timeout=60)
    try:
        headers = {"authorization": f"Bearer {stage.token}", "content-type": "application/json"}
        connection.request("POST", "/v1/messages", turn(model=f"{MODEL}-bedrock"), headers)
        answer = connection.getresponse()
        before = b""
        while b"event: content_block_stop" not in before:
            before += answer.read1(4096)
        begun = time.monotonic()
        ping = answer.read1(4096)
        silence = time.monotonic() - begun
        hold.release()
        rest = answer.read()
    finally:
        connection.close()
    assert ping == b'event: ping\ndata: {"type": "ping"}\n\n'
    assert 9 < silence < 18  # the second it would be by itself; to the second it is held to in test_retelling
    assert b"event: ping" not in rest
    assert rest.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')


@pytest.mark.parametrize("sign", ["allowed_warning", "429", "503", "nobody there"])
def test_any_sign_of_trouble_loads_it(sign: str) -> None:
    """Whether or not Bedrock is asked this time, as it is not for a caller of whom nothing is known."""
    with FakeAnthropic() as anthropic, FakeBedrock() as bedrock:
        config = '[litellm]\nload = "lazy"\n[router]\nnum_retries = 0\n'
        daemon = Daemon(upstream=anthropic.url, config=config, environ=keys_of(bedrock))
        with daemon:
            stage = Stage(anthropic, bedrock, daemon)
            if sign == "allowed_warning":
                stage.prove()
                warning = {"anthropic-ratelimit-unified-status": sign}
                anthropic.answer_next(200, headers=warning, body=b"{}")
            elif sign == "nobody there":
                anthropic.refuse_connections()
            else:
                anthropic.fail_next(int(sign))
            assert daemon.status()["litellm"]["state"] == "off"
            stage.ask()
            wait_until(lambda: daemon.status()["litellm"]["state"] == "loading")
            assert bedrock.requests == []


def test_a_reached_limit(stage: Stage) -> None:
    reset = int(time.time()) + 3600
    stage.anthropic.limit_next(resets_at=reset)
    assert stage.ask().headers["x-gateway-fallback"] == "429"
    assert stage.ask().headers["x-gateway-fallback"] == "circuit open (limit reached)"
    assert len(stage.to_anthropic()) == 1
    wait_until(lambda: reset in [circuit["until"] for circuit in stage.daemon.status()["circuits"]])
