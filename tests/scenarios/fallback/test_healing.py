"""Models at Bedrock that take less than our tables say: each refusal costs one more request, and no turn.

Each kind has a model of its own, so that what is learned of one is not known of the next.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.fakes.bedrock_models import FAMILIES, LONG_CONTEXT, THINKING_COUNT, TOOL_SEARCH
from tests.support.canary import CANARY
from tests.support.daemon import Daemon, wait_until
from tests.support.stage import Reply, Stage, keys_of, turn

pytestmark = pytest.mark.slow

BETA = (
    "claude-code-20250219,oauth-2025-04-20,interleaved-thinking-2025-05-14,thinking-token-count-2026-05-13,"
    "context-1m-2025-08-07,advanced-tool-use-2025-11-20,effort-2025-11-24"
)
BODY: dict[str, Any] = {
    "max_tokens": 64_000,
    "stream": True,
    "system": [{"type": "text", "text": "be brief"}],
    "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"path": CANARY}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [
            {"type": "tool_reference", "tool_name": "Late"}]}]},
        {"role": "system", "content": f"a reminder of {CANARY}"},
        {"role": "user", "content": "go on"},
    ],
    "tools": [
        {"name": "Read", "description": "d", "input_schema": {"type": "object"}},
        {"name": "Late", "description": "d", "input_schema": {"type": "object"}, "defer_loading": True},
    ],
    "thinking": {"type": "adaptive", "display": "summarized"},
    "output_config": {"effort": "xhigh"},
    "metadata": {"user_id": "me"},
}  # fmt: skip


@dataclass(frozen=True)
class Narrow:
    """A model that takes less: how the fake's family differs, and what is then said to be refused."""

    model: str
    changes: dict[str, Any]
    refused: tuple[str, ...]


KINDS = {
    "a beta that is not named": Narrow(
        "opus-4-8", {"betas": FAMILIES["opus-4-8"].betas - {THINKING_COUNT}}, (f"beta {THINKING_COUNT}",)
    ),
    "a beta of the dispensable ones": Narrow(
        "opus-5", {"betas": FAMILIES["opus-5"].betas - {LONG_CONTEXT}}, (f"beta {LONG_CONTEXT}",)
    ),
    "a field, new wording": Narrow("sonnet-5", {"thinking_display": False}, ("thinking display",)),
    "a field, old wording": Narrow(
        "fable-5", {"thinking_display": False, "old_wording": True}, ("thinking display",)
    ),
    "a mode of thinking": Narrow("opus-4-7", {"thinking": frozenset(("disabled", "enabled"))}, ("thinking adaptive",)),
    "an effort level": Narrow("sonnet-5-5", {"efforts": frozenset(("low", "high"))}, ("effort xhigh",)),
    "no effort at all": Narrow("opus-5-5", {"efforts": frozenset()}, ("effort",)),
    "a limit": Narrow("haiku-5-5", {"max_tokens": 8192}, ("max_tokens above 8192",)),
    "a role": Narrow("fable-5-1", {"system_messages": False}, ("role system",)),
    "a field of a tool": Narrow("sonnet-4-6", {"tool_search": False}, (f"beta {TOOL_SEARCH}",)),
}  # fmt: skip


@pytest.fixture(scope="module", params=["direct", "litellm"])
def loaded(request: pytest.FixtureRequest) -> Iterator[Stage]:
    environ = {"CLAUDE_GATEWAY_BEDROCK_THROUGH": request.param, "CLAUDE_GATEWAY_LITELLM_LOAD": "eager"}
    with FakeAnthropic() as anthropic, FakeBedrock() as bedrock:
        with Daemon(upstream=anthropic.url, environ=keys_of(bedrock) | environ) as daemon:
            stage = Stage(anthropic, bedrock, daemon)
            if request.param == "litellm":
                stage.wait_loaded()
            stage.prove()
            yield stage
            output = daemon.ctl("status", "--json").stdout + daemon.ctl("doctor").stdout
        assert "Traceback" not in daemon.log
        assert CANARY not in output + daemon.log


@pytest.fixture
def stage(loaded: Stage) -> Iterator[Stage]:
    loaded.forget()
    loaded.bedrock.clear_faults()
    yield loaded
    loaded.bedrock.families.update(FAMILIES)
    assert loaded.bedrock.violations == []


def ask(stage: Stage, model: str, **changes: Any) -> Reply:
    body = {**BODY, "model": f"claude-{model}-bedrock", **changes}
    return stage.ask(json.dumps(body).encode(), headers={"anthropic-beta": BETA})


def refused(stage: Stage, model: str) -> dict[str, str]:
    """Return what `status` shows as refused by a model."""
    found = stage.daemon.status()["bedrock"]["refused"]
    return {one["feature"]: one["message"] for one in found if one["model"].endswith(model)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_refusal_costs_one_request_and_no_turn(stage: Stage, kind: str) -> None:
    narrow = KINDS[kind]
    families = stage.bedrock.families
    families[narrow.model] = replace(families[narrow.model], **narrow.changes)
    reply = ask(stage, narrow.model)
    assert reply.status == 200, reply
    assert reply.events[-1][0] == "message_stop"
    asked = len(stage.bedrock.requests)
    assert 2 <= asked <= 3, [request.status for request in stage.bedrock.requests]
    last = json.loads(stage.bedrock.requests[-1].body)
    assert [tool["name"] for tool in last["tools"]] == ["Read", "Late"]
    assert last["system"] == BODY["system"]
    words = json.dumps(last["messages"])
    assert all(word in words for word in ("hi", "toolu_1", "a reminder of", "go on"))
    assert ask(stage, narrow.model).status == 200
    assert len(stage.bedrock.requests) == asked + 1
    wait_until(lambda: refused(stage, narrow.model))
    assert set(narrow.refused) <= refused(stage, narrow.model).keys()
    lines = [line for line in stage.daemon.log.splitlines() if "Please report this line" in line]
    assert len([line for line in lines if f"claude-{narrow.model} refuses" in line]) == 1


def test_at_most_three_times(stage: Stage) -> None:
    family = FAMILIES["opus-4-6"]
    narrow: dict[str, Any] = {"betas": frozenset(), "efforts": frozenset(), "max_tokens": 8192, "tool_search": False}
    stage.bedrock.families["opus-4-6"] = replace(family, thinking=frozenset(("disabled",)), **narrow)
    reply = ask(stage, "opus-4-6")
    assert reply.status == 400
    assert len(stage.bedrock.requests) == 4
    assert refused(stage, "opus-4-6") == {}  # none of it has led to an answer


@pytest.mark.parametrize(
    "message",
    [
        "prompt is too long: 207000 tokens > 200000 maximum",
        "Input is too long for requested model.",
        "input length and `max_tokens` exceed context limit: 190000 + 64000 > 200000",
        "Unexpected value(s) `of-next-year-2027-01-01` for the `anthropic-beta` header",
        "context_management: Extra inputs are not permitted",
        "messages.1.output_config: Extra inputs are not permitted",
        "max_tokens: 128000 > 99999, which is the maximum allowed number of output tokens",
    ],
)
def test_what_would_change_nothing_is_not_tried(stage: Stage, message: str) -> None:
    """The client may correct its request by these words, so it gets them as they are."""
    stage.bedrock.fail_next(400, kind="ValidationException", message=message)
    reply = ask(stage, "mythos-5")
    assert (reply.status, reply.error) == (400, message)
    assert len(stage.bedrock.requests) == 1
    wait_until(lambda: stage.daemon.status()["bedrock"]["failure"].endswith(message.rstrip(".")))


def test_a_beta_that_is_named(stage: Stage) -> None:
    message = f"Unexpected value(s) `{LONG_CONTEXT}` for the `anthropic-beta` header. Please consult the documentation"
    stage.bedrock.fail_next(400, kind="ValidationException", message=message)
    assert ask(stage, "mythos-5").status == 200
    first, second = (json.loads(request.body) for request in stage.bedrock.requests)
    assert set(first["anthropic_beta"]) - set(second["anthropic_beta"]) == {LONG_CONTEXT}


def test_a_model_that_turns_out_not_to_be_bound_to_a_schema(stage: Stage) -> None:
    """Seen with Haiku 4.5 in some accounts (vectorize-io/hindsight#3300). A tool stands in for the schema."""
    schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
    titled = turn(
        "a title", model="claude-haiku-4-5-bedrock", output_config={"format": {"type": "json_schema", "schema": schema}}
    )
    stage.bedrock.fail_next(kind="ValidationException", message="output_config.format: Extra inputs are not permitted")
    for _ in range(2):
        assert json.loads(stage.ask(titled).text) == {"title": "fake"}
    assert ["output_config" in asked.json() for asked in stage.to_bedrock()] == [True, False, False]


def test_nothing_that_a_refusal_quotes_is_shown(stage: Stage) -> None:
    message = f"messages.0: Input tag '{CANARY}' found using 'type' does not match [input_value={CANARY}]"
    stage.bedrock.fail_next(400, kind="ValidationException", message=message)
    assert ask(stage, "opus-4-8").status == 400
    wait_until(lambda: "Input tag '***'" in stage.daemon.status()["bedrock"]["failure"])


def test_doctor_has_a_sentence_for_a_report(stage: Stage) -> None:
    stage.bedrock.families["mythos-5-1"] = replace(FAMILIES["mythos-5-1"], max_tokens=8192)
    assert ask(stage, "mythos-5-1").status == 200
    wait_until(lambda: refused(stage, "mythos-5-1"))
    found = stage.daemon.ctl("doctor").stdout
    assert "mythos-5-1 refuses max_tokens above 8192: 'The maximum tokens you requested exceeds" in " ".join(
        found.split()
    )
    assert "claude-gatewayctl reload --forget" in found
    assert "mythos-5-1 refuses: max_tokens above 8192" in stage.daemon.ctl("status").stdout


def test_what_was_learned_outlives_a_generation_until_it_is_forgotten() -> None:
    environ = {"CLAUDE_GATEWAY_BEDROCK_THROUGH": "direct"}
    with FakeAnthropic() as anthropic, FakeBedrock() as bedrock:
        bedrock.families["opus-4-8"] = replace(FAMILIES["opus-4-8"], max_tokens=8192)
        with Daemon(upstream=anthropic.url, environ=keys_of(bedrock) | environ) as daemon:
            stage = Stage(anthropic, bedrock, daemon)
            stage.prove()

            def requests() -> int:
                stage.forget()
                assert ask(stage, "opus-4-8").status == 200
                return len(bedrock.requests)

            assert requests() == 2
            file = daemon.home / "s" / "claude-gateway" / "refusals.json"
            wait_until(file.exists)
            assert file.stat().st_mode & 0o777 == 0o600
            assert daemon.ctl("reload").returncode == 0
            assert requests() == 1
            assert set(refused(stage, "opus-4-8")) == {"max_tokens above 8192"}
            assert daemon.ctl("reload", "--forget").returncode == 0
            assert refused(stage, "opus-4-8") == {}
            assert requests() == 2
            wait_until(lambda: '"max_tokens above"' in file.read_text())
            for pid in daemon.workers():
                daemon.kill(pid)
            assert requests() == 1
            bedrock.families["opus-4-8"] = FAMILIES["opus-4-8"]
            assert daemon.ctl("reload", "--forget").returncode == 0
            assert requests() == 1
            assert refused(stage, "opus-4-8") == {}
            file.write_text("{")
            assert daemon.ctl("reload").returncode == 0
            assert requests() == 1
            assert f"cannot read {file}" in daemon.log
            assert daemon.log.count("is forgotten") == 2
            assert "Traceback" not in daemon.log
