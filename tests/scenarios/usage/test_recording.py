"""The ledger's row says what happened to a request, in every lane."""

import gzip
import http.client
import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.anthropic_steps import Coding, Wire
from tests.fakes.bedrock import STREAM, FakeBedrock
from tests.support.daemon import Daemon
from tests.support.rows import of_session, rows
from tests.support.stage import MODEL, THROUGH, Reply, Stage, asking, turn

pytestmark = pytest.mark.slow

CONFIG = """
[anthropic]
first_byte_timeout = 2
[router]
num_retries = 1
retry_after = 0
allowed_fails = 100
[bedrock]
timeout = 4
[bedrock.models]
claude-opus-5-5 = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/abc"
[aliases]
quick = "claude-haiku-4-5"
"""
ARN = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/abc"
AT_BEDROCK = f"us.anthropic.{MODEL}"
AGENT = {"user-agent": "claude-cli/2.1.330 (external, cli)"}
_sessions = itertools.count(1)


@pytest.fixture(scope="module", params=THROUGH)
def standing(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with FakeAnthropic() as anthropic, FakeBedrock() as bedrock:
        bedrock.add_profile(ARN, "anthropic.claude-opus-5-5")
        with Daemon(upstream=anthropic.url, config=CONFIG, environ=asking(bedrock, request.param)) as daemon:
            stage = Stage(anthropic, bedrock, daemon)
            stage.wait_asking(request.param)
            yield stage
        assert "Traceback" not in daemon.log
        assert "fault of the gateway" not in daemon.log


class Caller:
    """Somebody with a session of its own."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.daemon = stage.daemon
        self.session = f"session-{next(_sessions)}"
        self.key = stage.daemon.ctl("key").stdout.strip()
        self.through = stage.daemon.status()["bedrock"]["through"]

    def ask(self, body: bytes | None = None, **more: Any) -> Reply:
        headers = AGENT | {"x-claude-code-session-id": self.session} | more.pop("headers", {})
        return self.stage.ask(turn() if body is None else body, headers=headers, **more)

    def row(self) -> dict[str, Any]:
        """Return the row of the one request."""
        return of_session(self.daemon, self.session)[0]


@pytest.fixture
def caller(standing: Stage) -> Iterator[Caller]:
    stage = Stage(standing.anthropic, standing.bedrock, standing.daemon)
    stage.anthropic.clear_faults()
    stage.bedrock.clear_faults()
    stage.prove()
    yield Caller(stage)
    stage.anthropic.release()
    stage.bedrock.release()


def usage_of(reply: Reply) -> dict[str, int]:
    """Return the last usage that an answer names, with what stands in an earlier one."""
    if not reply.headers["content-type"].startswith("text/event-stream"):
        found: dict[str, int] = reply.json["usage"]
        return found
    usage: dict[str, int] = {}
    for name, data in reply.events:
        usage |= data["message"]["usage"] if name == "message_start" else data.get("usage", {})
    return usage


def id_of(reply: Reply) -> str:
    if not reply.headers["content-type"].startswith("text/event-stream"):
        return str(reply.json["id"])
    return str(reply.events[0][1]["message"]["id"])


def hold_tokens(row: dict[str, Any], reply: Reply) -> None:
    usage = usage_of(reply)
    assert (row["input_tokens"], row["output_tokens"]) == (usage["input_tokens"], usage["output_tokens"])
    assert row["input_tokens"] > 0
    assert row["output_tokens"] > 0


def these(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_anthropic(caller: Caller, stream: bool) -> None:
    more = {"x-claude-code-agent-id": "a582", "x-gateway-project": "shop"}
    reply = caller.ask(turn(stream=stream, model=f"{MODEL}[1m]"), headers=more)
    assert reply.status == 200
    row = caller.row()
    assert these(row, "kind", "status", "lane", "upstream", "transport", "fallback", "billing") == (
        "messages", 200, "anthropic", "anthropic", "", "", "subscription",
    )  # fmt: skip
    assert these(row, "agent_id", "project", "client", "client_version") == ("a582", "shop", "claude-cli", "2.1.330")
    assert row["model_asked"] == f"{MODEL}[1m]"
    assert row["message_id"] == id_of(reply)
    hold_tokens(row, reply)
    assert row["cost"] > 0
    assert bool(row["is_stream"]) is stream
    assert (row["first_event_ms"] is not None) is stream
    assert 0 < (row["first_event_ms"] or 1e-9) <= row["duration_ms"]
    assert row["request_bytes"] == len(turn(stream=stream, model=f"{MODEL}[1m]"))
    assert row["answer_bytes"] >= len(reply.body)
    assert these(row, "retries", "is_aborted") == (0, 0)
    [asked] = caller.stage.to_anthropic()
    assert asked.header("x-gateway-project") is None


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_compressed_answer(caller: Caller, coding: Coding, stream: bool) -> None:
    plain = caller.ask(turn(stream=stream))
    caller.stage.anthropic.wire_next(Wire(compression=coding))
    reply = caller.ask(turn(stream=stream), headers={"accept-encoding": coding})
    assert reply.headers["content-encoding"] == coding
    first, second = of_session(caller.daemon, caller.session, 2)
    hold_tokens(first, plain)
    assert second["input_tokens"] == first["input_tokens"]
    assert second["output_tokens"] == first["output_tokens"]
    assert second["cost"] == first["cost"]


def test_an_api_key(caller: Caller) -> None:
    assert caller.ask(token="", headers={"x-api-key": "sk-ant-api03-invented"}).status == 200
    assert caller.row()["billing"] == "api"


def test_an_alias(caller: Caller) -> None:
    assert caller.ask(turn(model="quick")).status == 200
    assert these(caller.row(), "model_asked", "billing") == ("quick", "subscription")
    assert caller.row()["model_served"].startswith("claude-haiku-4-5")


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_fallback(caller: Caller, stream: bool) -> None:
    caller.stage.anthropic.fail_next(529)
    reply = caller.ask(turn(stream=stream))
    assert reply.headers["x-gateway-upstream"] == "bedrock"
    row = caller.row()
    assert these(row, "status", "lane", "upstream", "transport", "fallback", "billing") == (
        200, "anthropic", "bedrock", caller.through, "overloaded", "aws",
    )  # fmt: skip
    assert these(row, "model_asked", "model_served", "retries") == (MODEL, AT_BEDROCK, 0)
    hold_tokens(row, reply)
    assert row["message_id"] == id_of(reply)
    assert row["cost"] > 0


@pytest.mark.parametrize(("status", "word"), [(500, "error"), (503, "error"), (504, "timeout"), (402, "billing")])
def test_why_it_fell_back(caller: Caller, status: int, word: str) -> None:
    caller.stage.anthropic.fail_next(status)
    assert caller.ask().headers["x-gateway-upstream"] == "bedrock"
    assert caller.row()["fallback"] == word


def test_both_failed(caller: Caller) -> None:
    caller.stage.anthropic.fail_next(529)
    caller.stage.bedrock.fail_next(kind="InternalServerException", times=4)
    assert caller.ask().status == 529
    row = caller.row()
    assert these(row, "status", "upstream", "transport", "fallback", "cost") == (529, "anthropic", "", "", 0.0)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_bedrock_by_name(caller: Caller, stream: bool) -> None:
    reply = caller.ask(turn(stream=stream, model=f"{MODEL}-bedrock"))
    assert reply.status == 200
    row = caller.row()
    assert these(row, "lane", "upstream", "transport", "fallback", "billing") == (
        "bedrock", "bedrock", caller.through, "", "aws",
    )  # fmt: skip
    assert these(row, "model_asked", "model_served") == (f"{MODEL}-bedrock", AT_BEDROCK)
    hold_tokens(row, reply)


def test_no_account_number(caller: Caller) -> None:
    reply = caller.ask(turn(model="claude-opus-5-5-bedrock"))
    assert reply.status == 200, reply
    assert "123456789012" not in str(caller.row())
    assert caller.row()["cost"] > 0


@pytest.mark.parametrize("operation", ["invoke", "invoke-with-response-stream"])
def test_bedrock_mode(caller: Caller, operation: str) -> None:
    body = json.dumps({
        "anthropic_version": "bedrock-2023-05-31", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}],
    }).encode()  # fmt: skip
    path = f"/bedrock/model/{AT_BEDROCK}/{operation}"
    assert caller.ask(body, path=path, token="", headers={"x-gateway-key": caller.key}).status == 200
    row = caller.row()
    assert these(row, "kind", "lane", "upstream", "transport", "billing") == (
        "invoke", "bedrock-mode", "bedrock", "direct", "aws",
    )  # fmt: skip
    assert these(row, "model_asked", "model_served") == (AT_BEDROCK, AT_BEDROCK)
    assert bool(row["is_stream"]) is (operation != "invoke")
    assert row["input_tokens"] > 0
    assert row["output_tokens"] > 0
    assert row["cost"] > 0


def test_bedrock_mode_refused(caller: Caller) -> None:
    reply = caller.ask(b"{}", path=f"/bedrock/model/{AT_BEDROCK}/invoke", token="")
    assert reply.status == 403
    assert these(caller.row(), "kind", "status", "cost", "input_tokens") == ("invoke", 403, 0.0, 0)


def test_counting(caller: Caller) -> None:
    assert caller.ask(path="/v1/messages/count_tokens").status == 200
    row = caller.row()
    assert these(row, "kind", "upstream", "cost", "input_tokens") == ("count_tokens", "anthropic", 0.0, 0)


def test_other_paths(caller: Caller) -> None:
    assert caller.ask(b"", path="/v1/models", method="GET").status == 200
    row = caller.row()
    assert these(row, "kind", "status", "lane", "upstream", "cost") == ("models", 200, "models", "anthropic", 0.0)


def test_a_retry(caller: Caller) -> None:
    caller.stage.anthropic.fail_next(429)
    reply = caller.ask()
    row = caller.row()
    assert (reply.status, row["status"], row["retries"]) == (200, 200, 1)


@pytest.mark.parametrize("status", [400, 401, 404])
def test_refused_by_anthropic(caller: Caller, status: int) -> None:
    caller.stage.anthropic.fail_next(status)
    assert caller.ask().status == status
    assert these(caller.row(), "status", "upstream", "cost", "is_aborted") == (status, "anthropic", 0.0, 0)


def test_refused_by_the_gateway(caller: Caller) -> None:
    assert caller.ask(token="").status == 401
    assert caller.ask(headers={"host": "evil.example"}).status == 421
    assert caller.ask(b"nonsense", path="/v1/chat/completions").status == 400
    found = of_session(caller.daemon, caller.session, 3)
    assert [these(row, "status", "upstream", "cost") for row in found] == [
        (401, "none", 0.0), (421, "none", 0.0), (400, "litellm", 0.0),
    ]  # fmt: skip


def test_a_client_that_leaves(caller: Caller) -> None:
    hold = caller.stage.anthropic.hold_next("end")
    connection = http.client.HTTPConnection("127.0.0.1", caller.daemon.port, timeout=60)
    headers = AGENT | {
        "x-claude-code-session-id": caller.session,
        "authorization": f"Bearer {caller.stage.token}",
        "content-type": "application/json",
    }
    connection.request("POST", "/v1/messages", turn(), headers)
    answer = connection.getresponse()
    answer.read(10)
    hold.wait_reached()
    answer.close()
    connection.close()
    row = caller.row()
    assert these(row, "status", "is_aborted", "upstream", "is_stream") == (499, 1, "anthropic", 1)
    assert row["input_tokens"] > 0, "what has come of it was used"
    assert row["first_event_ms"] is not None
    hold.release()


def test_a_client_that_leaves_with_all_of_its_answer(caller: Caller) -> None:
    """The upstream may stay for seconds after the last event, as LiteLLM does for callbacks: nobody misses anything."""
    caller.stage.bedrock.stall_next("message_stop", path=STREAM)
    body = turn(model=f"{MODEL}-bedrock")
    reply = caller.ask(body)
    assert reply.events[-1][0] == "message_stop"
    row = caller.row()
    assert these(row, "status", "is_aborted", "upstream", "is_stream") == (200, 0, "bedrock", 1)


def test_names_that_a_caller_made_up(caller: Caller) -> None:
    strange = "x" * 5000 + "\u202e\n"
    assert caller.ask(turn(model=strange), headers={"user-agent": "evil\x9b2J/" + "9" * 300}).status == 200
    row = caller.row()
    assert len(row["model_asked"]) <= 100
    assert len(row["client"] + row["client_version"]) <= 120
    assert all(value.isprintable() for value in row.values() if isinstance(value, str))


@pytest.mark.parametrize("standing", ["litellm"], indirect=True)
class TestOpenAI:
    """LiteLLM's routes: what it asks for a caller is part of the caller's request."""

    def chat(self, model: str, *, stream: bool = False) -> bytes:
        messages = [{"role": "user", "content": "hi"}]
        return json.dumps({"model": model, "max_tokens": 9, "messages": messages, "stream": stream}).encode()

    def count(self, caller: Caller, since: float) -> int:
        return sum(row["started_at"] >= since for row in rows(caller.daemon))

    @pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
    @pytest.mark.parametrize(
        ("failing", "model", "upstream", "billing"),
        [
            (False, MODEL, "anthropic", "subscription"),
            (True, MODEL, "bedrock", "aws"),
            (False, f"{MODEL}-bedrock", "bedrock", "aws"),
        ],
        ids=["Anthropic", "fallback", "by name"],
    )
    def test_one_row(
        self, caller: Caller, failing: bool, model: str, upstream: str, billing: str, stream: bool
    ) -> None:
        if failing:
            caller.stage.anthropic.fail_next(529)
        began = time.time()
        reply = caller.ask(self.chat(model, stream=stream), path="/v1/chat/completions")
        assert reply.headers["x-gateway-upstream"] == upstream, reply
        row = caller.row()
        assert these(row, "kind", "lane", "upstream", "billing") == ("openai", "litellm", upstream, billing)
        assert row["fallback"] == ("overloaded" if failing else "")
        assert row["model_asked"] == model
        assert row["model_served"] == (AT_BEDROCK if upstream == "bedrock" else MODEL)
        assert row["input_tokens"] > 0
        assert row["output_tokens"] > 0
        assert row["cost"] > 0
        caller.session += "-later"
        caller.ask()  # what was asked before has been written when this is
        caller.row()
        assert self.count(caller, began) == 2

    def test_compressed(self, caller: Caller) -> None:
        body = gzip.compress(self.chat(MODEL))
        headers = {"content-encoding": "gzip"}
        assert caller.ask(body, path="/v1/chat/completions", headers=headers).status == 200
        assert caller.row()["request_bytes"] == len(body)
