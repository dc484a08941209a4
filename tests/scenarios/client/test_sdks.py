"""Programs on the SDKs that people use, through the gateway, with Anthropic up, down, and gone in the middle.

Each program of `programs/` runs in the interpreter that scripts/fetch-clients has set up for it, and prints what came
of it as JSON.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.fakes.shapes import API_KEY
from tests.scenarios.client.claude import binary_of
from tests.scenarios.client.scene import LANES, Lane, Scene
from tests.support.fetched import CLIENTS, why_no_packages

pytestmark = [pytest.mark.client, pytest.mark.slow, pytest.mark.timeout(180)]

PROGRAMS: Final = Path(__file__).with_name("programs")
HELLO: Final = "Hello from the fake. You said: good morning"
SUM: Final = "Hello from the fake. The tool said: 42"
LAKE: Final = {"name": "fake", "depth": 0}
CHAT: Final = {"create": HELLO, "stream": HELLO, "parse": LAKE, "runner": SUM}
AGENT: Final = {"query": HELLO, "tool": SUM, "turn": "Hello from the fake. You said: good night"}

EXPECTED: Final[Mapping[str, Mapping[str, Any]]] = {
    "agent_sdk.mjs": AGENT,
    "agent_sdk.py": AGENT,
    "anthropic_sdk.mjs": CHAT | {"tokens": True, "streaming runner": SUM},
    "anthropic_sdk.py": CHAT | {"tokens": True, "streaming runner": SUM},
    "langchain_models.py": {"anthropic": CHAT, "openai": CHAT},
    "openai_sdk.mjs": CHAT | {"streaming runner": SUM},
    "openai_sdk.py": CHAT | {"finish": "tool_calls"},
}


def command_of(program: str, folder: Path) -> list[str]:
    """Return what runs a program; skip where that is not to be had."""
    language = "python" if program.endswith(".py") else "node"
    if reason := why_no_packages(language):
        pytest.skip(reason)
    folder.mkdir()
    shutil.copy(PROGRAMS / program, folder)
    if language == "python":
        return [str(CLIENTS / "python" / "bin" / "python"), str(folder / program)]
    (folder / "node_modules").symlink_to(CLIENTS / "node" / "node_modules")  # where node looks
    return ["node", str(folder / program)]


def run(program: str, scene: Scene, folder: Path, *arguments: str) -> dict[str, Any]:
    """Run a program against the gateway; return what it printed."""
    environ = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "CLAUDE_CONFIG_DIR": str(folder / ".claude"),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "LANGSMITH_TRACING": "false",
        "ANTHROPIC_BASE_URL": scene.daemon.url,
        "ANTHROPIC_API_KEY": API_KEY,
        "OPENAI_BASE_URL": f"{scene.daemon.url}/v1",
        "OPENAI_API_KEY": API_KEY,
    }
    done = subprocess.run(
        [*command_of(program, folder), *arguments], env=environ, cwd=folder, capture_output=True, text=True,
        timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("program", EXPECTED)
def test_works(program: str, lane: Lane, scene: Scene, newest: str, tmp_path: Path) -> None:
    scene.answers_by(lane)
    assert run(program, scene, tmp_path / "home", str(binary_of(newest))) == EXPECTED[program]
    assert scene.only(lane)


@pytest.mark.parametrize("program", ["anthropic_sdk.py", "anthropic_sdk.mjs"])
def test_a_thread_goes_on_at_bedrock(program: str, scene: Scene, tmp_path: Path) -> None:
    """The tool runners send the new messages only, for Anthropic has the others; Bedrock is sent the whole of them."""
    scene.answers_by("anthropic")
    scene.is_down(after=4)  # create, stream, parse, and what the runner begins with
    assert run(program, scene, tmp_path / "home") == EXPECTED[program]
    begun, *_ = [r.json() for r in scene.anthropic.requests if r.status == 200 and "thread" in r.json()]
    assert begun["thread"]["type"] == "create"
    assert "continue" in [r.json()["thread"]["type"] for r in scene.anthropic.requests if "thread" in r.json()]
    gone_on = scene.answered("bedrock")[0].json()
    assert [message["role"] for message in gone_on["messages"]] == ["user", "assistant", "user"]
    assert "thread" not in gone_on
