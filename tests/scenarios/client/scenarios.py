"""What people do with Claude Code, as functions of a client and of the Anthropic it ends up at.

They hold for a client that is pointed straight at the fake, and must hold as they are with a gateway between.
"""

import json
from typing import Any

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.anthropic_faults import MESSAGES
from tests.fakes.anthropic_requests import Recorded
from tests.fakes.shapes import API_KEY, OAUTH_TOKEN
from tests.scenarios.client.claude import Claude


def _turns(fake: FakeAnthropic, before: int) -> list[Recorded]:
    """Return the requests to the model since there were so many requests."""
    return [request for request in fake.requests[before:] if request.path == MESSAGES]


def _is_text_delta(event: dict[str, Any]) -> bool:
    return bool(event["type"] == "stream_event" and event["event"]["type"] == "content_block_delta")


def hello(claude: Claude, fake: FakeAnthropic) -> None:
    """Ask one question: one request, with the person's credential as it is, and its answer."""
    before = len(fake.requests)
    result = claude.ask("good morning")
    assert result.succeeded, result
    assert result.text == "Hello from the fake. You said: good morning", result
    assert result.of("system", "api_retry") == []
    (turn,) = _turns(fake, before)
    assert turn.target == "/v1/messages?beta=true"
    key = "ANTHROPIC_API_KEY" in claude.credential.env
    assert turn.header("authorization") == (None if key else f"Bearer {OAUTH_TOKEN}")
    assert turn.header("x-api-key") == (API_KEY if key else None)
    assert f"claude-cli/{claude.version} " in (turn.header("user-agent") or "")
    assert fake.violations == []


def tool_call(claude: Claude, fake: FakeAnthropic) -> None:
    """Let the model run a command: its result goes back in a second request."""
    before = len(fake.requests)
    command = {"command": "echo number-$((40 + 2))", "description": "Print a number"}
    result = claude.ask(f"[[think]] [[tool Bash {json.dumps(command)}]]")
    assert result.succeeded, result
    assert result.text == "Hello from the fake. The tool said: number-42", result
    (used,) = result.blocks("tool_use")
    assert used["input"] == command
    first, second = _turns(fake, before)
    (said,) = [message for message in second.json()["messages"] if message["role"] == "assistant"]
    assert [block["type"] for block in said["content"]] == ["thinking", "text", "tool_use"]
    assert len(second.body) > len(first.body)
    assert fake.violations == []


def subagent(claude: Claude, fake: FakeAnthropic) -> None:
    """Let the model send a subagent, whose one request has an id of its own."""
    before = len(fake.requests)
    task = {
        "description": "look at the lake",
        "prompt": "[[say the lake is deep]]",
        "subagent_type": "general-purpose",
        "run_in_background": False,
    }
    result = claude.ask(f"[[tool Agent {json.dumps(task)}]]")
    assert result.succeeded, result
    assert "the lake is deep" in result.text, result
    turns = _turns(fake, before)
    assert [bool(turn.header("x-claude-code-agent-id")) for turn in turns] == [False, True, False]
    assert fake.violations == []


def slow_stream(claude: Claude, fake: FakeAnthropic) -> None:
    """Read a stream as it comes: words are printed when Anthropic has not sent the end."""
    before = len(fake.requests)
    hold = fake.hold_next("message_delta")
    with claude.start("[[slow 20 0.02]]", "--include-partial-messages") as running:
        running.wait_for_event(_is_text_delta)
        hold.wait_reached()
        (turn,) = _turns(fake, before)
        assert turn.answered is None
        hold.release()
        result = running.finish()
    assert result.succeeded, result
    assert result.text.split() == [f"word-{n}" for n in range(1, 21)]
    assert fake.violations == []


def interrupt(claude: Claude, fake: FakeAnthropic) -> None:
    """Press Ctrl-C in the middle of a stream: Anthropic sees it at once, and is not asked again."""
    before = len(fake.requests)
    with claude.start("[[slow 400 0.1]]", "--include-partial-messages") as running:
        running.wait_for_event(_is_text_delta)
        running.interrupt()
        fake.wait_until(lambda: any(r.aborted for r in fake.requests[before:]), 5, "an abort")
        result = running.finish(timeout=20)
    assert result.final["is_error"] is True, result
    (turn,) = _turns(fake, before)  # not asked again
    assert turn.answered is None
    assert fake.violations == []


SCENARIOS = (hello, tool_call, subagent, slow_stream, interrupt)
