"""The real Claude Code before and after configure-claude and remove-claude, and as `run` starts it."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.anthropic_faults import MESSAGES
from tests.fakes.shapes import OAUTH_TOKEN
from tests.scenarios.client.claude import Claude, binary_of
from tests.scenarios.client.scenarios import hello
from tests.support.daemon import BIN, Daemon, free_port

pytestmark = [pytest.mark.client, pytest.mark.timeout(60)]

HELLO = "Hello from the fake. You said: good morning"


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeAnthropic]:
    with FakeAnthropic() as fake:
        yield fake


@pytest.fixture(scope="module")
def daemon(fake: FakeAnthropic) -> Iterator[Daemon]:
    with Daemon(upstream=fake.url) as daemon:
        yield daemon


@pytest.fixture
def claude(version: str, home: Path) -> Claude:
    """A client that talks to nobody, and asks a proxy for 127.0.0.1 that nobody serves."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    env = {"HTTP_PROXY": nowhere, "no_proxy": "company.example", "CLAUDE_CODE_MAX_RETRIES": "0"}
    return Claude(version, nowhere, home, env=env)


def ctl(daemon: Daemon, claude: Claude, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {**daemon.environ, **claude.env, "CLAUDE_CONFIG_DIR": str(claude.home / ".claude")}
    done = subprocess.run(
        [str(BIN / "claude-gatewayctl"), *words], env=environ, cwd=claude.home, capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done


def settings_of(claude: Claude) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((claude.home / ".claude" / "settings.json").read_text())
    return said


def test_configure_and_remove(claude: Claude, daemon: Daemon, fake: FakeAnthropic) -> None:
    (claude.home / ".claude").mkdir(parents=True)
    before = {"env": {"CLAUDE_CODE_USE_BEDROCK": "1", "MINE": "x"}, "theme": "dark"}
    (claude.home / ".claude" / "settings.json").write_text(json.dumps(before))
    ctl(daemon, claude, "configure-claude")
    hello(claude, fake)
    assert fake.requests[-1].header("x-gateway-key") is None  # it is for the gateway, and goes no further
    env = settings_of(claude)["env"]
    assert env["ANTHROPIC_BASE_URL"] == daemon.url  # the client has rewritten the file, and left it so
    ctl(daemon, claude, "remove-claude")
    after = settings_of(claude)
    assert after["env"] == before["env"]
    assert after["theme"] == "dark"
    seen = len(fake.requests)
    without = replace(claude, env={**claude.env, "NO_PROXY": "*", "AWS_REGION": "us-west-2"})
    assert not without.ask("good morning").succeeded
    assert len(fake.requests) == seen


def test_configured_while_the_client_runs(claude: Claude, daemon: Daemon, fake: FakeAnthropic) -> None:
    """Both write the file: it stays JSON, and what is in it is both's."""
    (claude.home / ".claude").mkdir(parents=True)
    (claude.home / ".claude" / "settings.json").write_text('{\n  "theme": "dark"\n}\n')
    ctl(daemon, claude, "configure-claude")
    hold = fake.hold_next("message_delta")
    # whichever of the two states it starts in, it gets there
    with replace(claude, base_url=daemon.url, env={}).start("[[slow 20 0.05]]") as running:
        for _ in range(4):
            ctl(daemon, claude, "remove-claude")
            said = json.loads(ctl(daemon, claude, "configure-claude", "--json").stdout)
        assert running.pid in said["running"]
        hold.release()
        assert running.finish().succeeded
    said = settings_of(claude)
    assert said["env"]["ANTHROPIC_BASE_URL"] == daemon.url
    assert said["theme"] == "dark"
    assert not list((claude.home / ".claude").glob("settings.json.*"))


def test_run(claude: Claude, daemon: Daemon, fake: FakeAnthropic) -> None:
    """Through the gateway though all that is configured says otherwise; nothing is configured by it."""
    config = claude.home / ".claude"
    config.mkdir(parents=True)
    settings = json.dumps({"env": {"CLAUDE_CODE_USE_BEDROCK": "1", "ANTHROPIC_BASE_URL": claude.base_url}})
    (config / "settings.json").write_text(settings)
    (claude.home / "bin").mkdir()
    (claude.home / "bin" / "claude").symlink_to(binary_of(claude.version))
    environ = {
        **daemon.environ,
        **claude.env,
        "CLAUDE_CONFIG_DIR": str(config), "CLAUDE_CODE_OAUTH_TOKEN": OAUTH_TOKEN, "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_USE_BEDROCK": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "PATH": f"{claude.home / 'bin'}:{daemon.environ['PATH']}",
    }  # fmt: skip
    seen = len(fake.requests)
    done = subprocess.run(
        [str(BIN / "claude-gatewayctl"), "run", "--print"], input="good morning", env=environ, cwd=claude.home,
        capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, HELLO), done
    assert [request.path for request in fake.requests[seen:]].count(MESSAGES) == 1
    assert fake.violations == []
    assert json.loads((config / "settings.json").read_text())["env"]["CLAUDE_CODE_USE_BEDROCK"] == "1"
