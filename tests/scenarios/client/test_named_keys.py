"""The real Claude Code of somebody who has a key of their own at a gateway for a team, until it is revoked."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.scenarios.client.claude import Claude, worked
from tests.support.daemon import BIN, Daemon, free_port, wait_until

pytestmark = [pytest.mark.client, pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with FakeAnthropic() as fake, Daemon(upstream=fake.url, config="[listen]\nremote = true\n") as daemon:
        yield daemon


@pytest.fixture
def claude(version: str, home: Path) -> Claude:
    """A client that would talk to nobody. It does not wait: after a 429 it would, for as long as that says."""
    return Claude(version, f"http://127.0.0.1:{free_port()}", home, env={"CLAUDE_CODE_MAX_RETRIES": "0"})


def configure(claude: Claude, daemon: Daemon, key: str) -> None:
    """Point the client there, as the person would."""
    key_file = claude.prepare() / "gateway.key"
    key_file.touch(0o600)
    key_file.write_text(key + "\n")
    environ = {**claude.environment(), "XDG_RUNTIME_DIR": str(claude.home)}
    del environ["ANTHROPIC_BASE_URL"]
    subprocess.run(
        [str(BIN / "claude-gatewayctl"), "configure-claude", "--url", daemon.url, "--key-file", str(key_file)],
        env=environ, cwd=claude.home, check=True, capture_output=True, timeout=30, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_from_the_making_of_a_key_to_its_end(claude: Claude, daemon: Daemon) -> None:
    configure(claude, daemon, daemon.ctl("keys", "add", "alice").stdout.strip())
    worked(claude.ask("good morning"))

    def used() -> int:
        rows = json.loads(daemon.ctl("usage", "--by", "key", "--json").stdout)["rows"]
        return sum(row["requests"] for row in rows if row["key"] == "alice")

    wait_until(lambda: used() >= 1, describe=daemon.describe)
    assert daemon.ctl("keys", "set", "alice", "--rpm", "1").returncode == 0
    worked(claude.ask("good morning"))
    limited = claude.ask("good morning")
    assert limited.final["is_error"], limited
    assert "the key alice has made 1 requests within a minute" in limited.text
    assert daemon.ctl("keys", "revoke", "alice").returncode == 0
    refused = claude.ask("good morning")
    assert refused.final["is_error"], refused
    assert "the key of alice is revoked" in refused.text, refused.text
    assert "claude-gatewayctl keys add" in refused.text
