"""The real Claude Code of somebody whose gateway is on another machine, behind a balancer that speaks TLS."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.balancer import Balancer
from tests.fakes.inspection import Inspection
from tests.fakes.shapes import OAUTH_TOKEN
from tests.scenarios.client.claude import Claude, binary_of
from tests.scenarios.client.scenarios import hello
from tests.scenarios.client.scene import gateway_key
from tests.support.daemon import BIN, Daemon, free_port

pytestmark = [pytest.mark.client, pytest.mark.timeout(90)]

# /etc with managed settings, for one process and its children
MANAGED = 'mount -t overlay overlay -o "lowerdir=$0:/etc" /etc && exec "$@"'


class Team(NamedTuple):
    """A gateway that several people use."""

    fake: FakeAnthropic
    daemon: Daemon
    url: str
    ca_file: str


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    inspection = Inspection(tmp_path_factory.mktemp("ca"))
    with (
        FakeAnthropic() as fake,
        Daemon(upstream=fake.url, config="[listen]\nremote = true\n") as daemon,
        Balancer(daemon.port, inspection) as balancer,
    ):
        yield Team(fake, daemon, balancer.url, inspection.ca_file)


@pytest.fixture
def claude(version: str, home: Path) -> Claude:
    """A client that would talk to nobody."""
    nobody = f"http://127.0.0.1:{free_port()}"
    return Claude(version, nobody, home, env={"CLAUDE_CODE_MAX_RETRIES": "0"})


@pytest.fixture
def key_file(tmp_path: Path, team: Team) -> Path:
    file = tmp_path / "gateway.key"
    file.touch(0o600)
    file.write_text(gateway_key(team.daemon) + "\n")
    return file


def ctl(claude: Claude, team: Team, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command where no daemon is, and this shell alone trusts the company's CA."""
    environ = {**claude.environment(), "NODE_EXTRA_CA_CERTS": team.ca_file, "XDG_RUNTIME_DIR": str(claude.home)}
    del environ["ANTHROPIC_BASE_URL"]
    claude.prepare()
    done = subprocess.run(
        [str(BIN / "claude-gatewayctl"), *words], env=environ, cwd=claude.home, capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def test_through_the_gateway_of_others(claude: Claude, team: Team, key_file: Path) -> None:
    ctl(claude, team, "configure-claude", "--url", team.url, "--key-file", str(key_file))
    key_file.unlink()
    hello(claude, team.fake)
    asked = team.fake.requests[-1]
    assert asked.header("authorization") == f"Bearer {OAUTH_TOKEN}"  # each person's own
    assert asked.header("x-gateway-key") is None


def why_no_managed_settings(directory: Path) -> str:
    """Return why this machine cannot show managed settings to one process alone, or nothing."""
    tried = subprocess.run(managed(directory, "true"), capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else f"a mount namespace with an overlay: {tried.stderr.strip()}"


def managed(directory: Path, *command: str) -> Sequence[str]:
    return ["unshare", "--mount", "sh", "-c", MANAGED, str(directory), *command]


def test_with_what_an_administrator_rolls_out(claude: Claude, team: Team, key_file: Path, tmp_path: Path) -> None:
    """The address and the CA are the administrator's; each person has a key, and headers of their own stay."""
    etc = tmp_path / "etc"
    (etc / "claude-code").mkdir(parents=True)
    if os.uname().sysname != "Linux" or (reason := why_no_managed_settings(etc)):
        pytest.skip(reason if os.uname().sysname == "Linux" else "Linux has mount namespaces")
    printed = ctl(claude, team, "managed-settings", "--url", team.url, "--ca-file", team.ca_file).stdout
    (etc / "claude-code" / "managed-settings.json").write_text(printed)
    headers = f"X-Team: herons\nx-gateway-key: {key_file.read_text().strip()}"
    settings = claude.home / ".claude" / "settings.json"
    settings.write_text(
        json.dumps({"env": {"ANTHROPIC_CUSTOM_HEADERS": headers, "ANTHROPIC_BASE_URL": "http://no.example"}})
    )
    before = len(team.fake.requests)
    done = subprocess.run(
        managed(etc, str(binary_of(claude.version)), "--print", "good morning"), env=claude.environment(),
        cwd=claude.prepare(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "Hello from the fake. You said: good morning", done.stderr
    assert team.fake.requests[before:][-1].header("x-team") == "herons"
