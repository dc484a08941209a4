"""The real Claude Code in each of its permission modes, with Anthropic up and down: the mode decides, not the lane.

The newer ones have Anthropic judge the tool calls of auto and plan mode (`safeguards`). Bedrock judges none, so there
the client asks its person, and where there is none it runs nothing unchecked.
"""

import json
from pathlib import Path
from typing import Final

import pytest

from tests.fakes.anthropic_requests import Recorded
from tests.scenarios.client.claude import SUBSCRIPTION, Claude
from tests.scenarios.client.scene import LANES, Lane, Scene
from tests.scenarios.client.session import DOWN, ENTER, Session

pytestmark = [
    pytest.mark.client,
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.one_side("in the background", "of other sessions"),
]

PRINTS: Final = {
    "command": 'python3 -c "print(40 + 2)"',
    "description": "Print a number",
}  # no mode takes it for harmless
PROMPT: Final = f"[[tool Bash {json.dumps(PRINTS)}]]"
MODES: Final = ("default", "acceptEdits", "plan", "auto", "bypassPermissions", "dontAsk")
OLD: Final = "2.1.197"  # judges by itself, with a request of its own


def may_run(mode: str, version: str, lane: Lane) -> bool:
    """Tell whether a command that needs a permission runs where nobody can be asked for it."""
    match mode:
        case "bypassPermissions":
            return True
        case "auto":
            return version == OLD or lane == "anthropic"
        case "plan":
            return version != OLD and lane == "anthropic"
        case _:
            return False


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("mode", MODES)
def test_print(mode: str, lane: Lane, scene: Scene, version: str, home: Path) -> None:
    scene.answers_by(lane)
    env = {"IS_SANDBOX": "1"}  # root may bypass permissions in a sandbox only
    claude = Claude(version, scene.daemon.url, home, env=env, allowed="")
    result = claude.ask(PROMPT, "--permission-mode", mode)
    assert result.succeeded, result
    assert result.of("system", "api_retry") == []
    assert result.of("system", "init")[0]["permissionMode"] == mode
    may = may_run(mode, version, lane)
    assert [block["content"] == "42" for block in result.blocks("tool_result")] == [may], result
    assert len(result.final["permission_denials"]) == (not may)
    asked = scene.only(lane)
    assert len(asked) == (3 if version == OLD and mode == "auto" else 2)  # the third is the older one's own check
    assert all("safeguards" not in request.json() for request in asked) == (
        lane == "bedrock" or not judged(mode, version)
    )


def judged(mode: str, version: str) -> bool:
    """Tell whether the client lets Anthropic judge its tool calls."""
    return version != OLD and mode in ("auto", "plan")


MAKES: Final = {"command": "python3 -c \"open('made.txt', 'w').write('42')\"", "description": "Make a file"}
ASKED: Final = "Do you want to proceed?"


def offers(request: Recorded, name: str) -> bool:
    """Tell whether a request offers the model a tool."""
    return any(tool.get("name") == name for tool in request.json().get("tools", ()))


@pytest.mark.parametrize("lane", LANES)
def test_a_permission_is_asked_for_and_granted(lane: Lane, scene: Scene, version: str, home: Path) -> None:
    scene.answers_by(lane)
    claude = Claude(version, scene.daemon.url, home, SUBSCRIPTION)
    with Session(claude, "--permission-mode", "default") as session:
        session.say(f"[[tool Bash {json.dumps(MAKES)}]]")
        session.until(ASKED)
        assert not (home / "work" / "made.txt").exists()
        session.answer(ASKED, "1")
        session.until("The tool said")
    assert (home / "work" / "made.txt").read_text() == "42"
    asked = [request for request in scene.only(lane) if offers(request, "Bash")]  # not the title of the session
    assert len(asked) == 2
    assert b'"tool_result"' in asked[1].body


def allow(session: Session) -> None:
    """Grant what auto mode could not have checked, where No is the first answer."""
    session.until(ASKED)
    session.press(DOWN, lambda screen: screen.shows("❯ Yes"))
    session.answer(ASKED, ENTER)


@pytest.mark.parametrize("lane", LANES)
def test_auto_mode_at_a_terminal(lane: Lane, scene: Scene, version: str, home: Path) -> None:
    """The newer ones start in it. Where Bedrock answers they say that nobody checks, and ask."""
    scene.answers_by(lane)
    claude = Claude(version, scene.daemon.url, home, SUBSCRIPTION)
    with Session(claude, *(("--permission-mode", "auto") if version == OLD else ())) as session:
        session.say(f"[[tool Bash {json.dumps(MAKES)}]]")
        if version != OLD and lane == "bedrock":
            session.until("Auto mode can't check actions in this session")
            session.answer("Enter to stay in auto mode", ENTER)
            session.until(ASKED)
            assert not (home / "work" / "made.txt").exists()
            allow(session)
        session.until("The tool said")
    assert (home / "work" / "made.txt").read_text() == "42"
    asked = [request for request in scene.only(lane) if offers(request, "Bash")]  # not the title of the session
    assert len(asked) == 2
    assert ("safeguards" in asked[0].json()) == (version != OLD and lane == "anthropic")


def test_auto_mode_when_anthropic_is_back(scene: Scene, newest: str, home: Path) -> None:
    """The client has the check back by itself."""
    scene.answers_by("bedrock")
    claude = Claude(newest, scene.daemon.url, home, SUBSCRIPTION)
    with Session(claude) as session:
        session.say(f"[[tool Bash {json.dumps(MAKES)}]]")
        session.answer("Enter to stay in auto mode", ENTER)
        allow(session)
        session.until("The tool said")
        scene.answers_by("anthropic")
        session.say(PROMPT)
        session.until("The tool said: 42")  # nobody was asked
    assert ["safeguards" in request.json() for request in scene.only("anthropic")] == [True, True]
