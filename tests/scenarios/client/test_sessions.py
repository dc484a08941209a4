"""Whole sessions of the real Claude Code, with Anthropic up, down, and changing: long, compacted, taken up again."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from tests.fakes.anthropic_requests import Recorded
from tests.scenarios.client import routes
from tests.scenarios.client.claude import SUBSCRIPTION, Result, worked
from tests.scenarios.client.scene import LANES, Lane, Scene
from tests.scenarios.client.session import Session

pytestmark = [
    pytest.mark.client,
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.one_side("in the background", "of other sessions"),
]

OLD: Final = "2.1.197"
SERVER: Final = Path(__file__).with_name("programs") / "mcp_server.py"
HELLO: Final = "Hello from the fake. You said: good morning"


def session_of(result: Result) -> str:
    """Return the id that takes a session up again."""
    found: str = result.of("system", "init")[0]["session_id"]
    return found


@routes.by_lane(*routes.ALL)
def test_taken_up_again(lane: Lane, scene: Scene, version: str, home: Path) -> None:
    """What was begun with Anthropic, thinking and tools included, goes on wherever it is answered."""
    claude = scene.claude(version, home)
    command = {"command": "echo number-$((40 + 2))", "description": "Print a number"}
    begun = worked(claude.ask(f"[[think]] [[tool Bash {json.dumps(command)}]]"))
    scene.answers_by(lane)
    gone_on = worked(claude.ask("good morning", "--resume", session_of(begun)))
    assert gone_on.text == HELLO
    (asked,) = scene.only(lane)
    assert b"number-42" in asked.body
    assert b'"thinking"' in asked.body


@routes.by_lane(*routes.ALL)
def test_compacted(lane: Lane, scene: Scene, version: str, home: Path) -> None:
    """One request writes the summary, with which the session goes on."""
    claude = scene.claude(version, home)
    begun = worked(claude.ask("[[say the lake is deep]]"))
    worked(claude.ask("[[say the heron is grey]]", "--resume", session_of(begun)))
    scene.answers_by(lane)
    compacted = worked(claude.ask("/compact", "--resume", session_of(begun)))
    assert len(compacted.of("system", "compact_boundary")) == 1
    (asked,) = scene.only(lane)
    assert (b"fallback-credit-2026-06-01" in asked.head + asked.body) == (version != OLD)
    scene.forget()
    gone_on = worked(claude.ask("good morning", "--resume", session_of(compacted)))
    assert gone_on.text == HELLO
    (asked,) = scene.only(lane)
    assert b"They spoke of the lake." in asked.body
    assert b"the lake is deep" not in asked.body


@routes.by_lane(*routes.ALL, oldest=False)
def test_compacted_at_a_terminal(lane: Lane, scene: Scene, version: str, home: Path) -> None:
    with Session(scene.claude(version, home, SUBSCRIPTION), "--permission-mode", "default") as session:
        for answer in ("the lake is deep", "the heron is grey"):
            session.say(f"[[say {answer}]]")
            session.until(f"● {answer}")
        scene.answers_by(lane)
        session.say("/compact")
        session.until("Compacted")
        session.say("good morning")
        session.until("You said: good morning")
    asked = scene.only(lane)  # in Bedrock mode the oldest names the session once more, without tools
    summary, gone_on = [request for request in asked if request.json().get("tools")]
    assert b"the lake is deep" in summary.body
    assert b"They spoke of the lake." in gone_on.body


@routes.by_lane(*routes.ALL)
def test_a_command_in_the_background(lane: Lane, scene: Scene, version: str, home: Path) -> None:
    """Its end makes a turn of its own."""
    scene.answers_by(lane)
    command = {"command": "echo number-$((40 + 2))", "description": "Print a number", "run_in_background": True}
    result = worked(scene.claude(version, home).ask(f"[[tool Bash {json.dumps(command)}]]"))
    assert 'Background command "Print a number" completed' in result.text
    assert b"<task-notification>" in scene.only(lane)[-1].body


@routes.by_lane(*routes.ALL)
def test_a_subagent_in_the_background(lane: Lane, scene: Scene, version: str, home: Path) -> None:
    scene.answers_by(lane)
    task = {
        "description": "look at the lake", "prompt": "[[say the lake is deep]]", "subagent_type": "general-purpose",
        "run_in_background": True,
    }  # fmt: skip
    result = worked(scene.claude(version, home).ask(f"[[tool Agent {json.dumps(task)}]]"))
    assert "<result>the lake is deep</result>" in result.text
    asked = scene.only(lane)
    assert b"<task-notification>" in asked[-1].body
    assert len(asked) in (3, 4)  # the subagent may have ended before the model hears that it has begun


@routes.by_lane(*routes.ALL)
def test_120_tools_of_an_mcp_server(lane: Lane, scene: Scene, version: str, home: Path) -> None:
    """Behind a gateway the older one sends them all; otherwise those that are needed are looked for, and deferred."""
    scene.answers_by(lane)
    home.mkdir()
    servers = {"many": {"type": "stdio", "command": sys.executable, "args": [str(SERVER)]}}
    (home / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
    claude = replace(scene.claude(version, home), allowed="mcp__many,ToolSearch")
    call = '[[tool mcp__many__double_077 {"number": 21}]]'
    sends_all = version == OLD and scene.route != "bedrock-mode"
    search = "" if sends_all else '[[tool ToolSearch {"query": "select:mcp__many__double_077"}]] '
    result = worked(claude.ask(search + call, "--mcp-config", str(home / "mcp.json"), "--strict-mcp-config"))
    assert result.text == "Hello from the fake. The tool said: double_077 says 42"
    sent = [[t for t in request.json()["tools"] if t["name"].startswith("mcp__many__")] for request in scene.only(lane)]
    if sends_all:
        assert [len(tools) for tools in sent] == [120, 120]
    else:
        assert [[(t["name"], t["defer_loading"]) for t in tools] for tools in sent] == [
            [], *[[("mcp__many__double_077", True)]] * 2,
        ]  # fmt: skip


def offering(asked: list[Recorded], tool: str) -> int:
    """Count the main turns: those that offer a tool, as the title of a session does not."""
    return sum(any(t.get("name") == tool for t in request.json().get("tools", ())) for request in asked)


# Each route is taken once, for it takes its time; the rest is `extended`.
@pytest.mark.parametrize(
    ("version", "route"),
    [
        (routes.OLDEST, "litellm"),
        (routes.NEWEST, "direct"),
        pytest.param(routes.OLDEST, "direct", marks=pytest.mark.extended),
        pytest.param(routes.NEWEST, "litellm", marks=pytest.mark.extended),
    ],
    indirect=True,
)
@pytest.mark.timeout(300)
def test_forty_turns(scene: Scene, version: str, home: Path) -> None:
    """The lane changes every five turns, with thinking throughout and a tool now and then; nothing is lost of it."""
    with Session(scene.claude(version, home, SUBSCRIPTION), "--allowedTools", "Bash") as session:
        for turn in range(40):
            lane = LANES[turn // 5 % 2]
            scene.answers_by(lane)
            if turn % 3:
                session.say(f"[[think]] [[say answer {turn:02}]]")
                session.until(f"● answer {turn:02}")
            else:
                command = {"command": f"echo number-$(({turn} + 100))", "description": "Print"}
                session.say(f"[[think]] [[tool Bash {json.dumps(command)}]]")
                session.until(f"The tool said: number-{turn + 100}")
            assert offering(scene.only(lane), "Bash") == (1 if turn % 3 else 2)
        last = scene.only(lane)[-1].json()["messages"]
    assert len([message for message in last if message["role"] == "assistant"]) == 40 + 13  # 14 tools, the last answer
