"""Where the real Claude Code goes: the table of what leads it elsewhere is whole, and each row does what it says.

What configure-claude and run make of it leads to the gateway, and to Anthropic.
"""

import json
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from claude_gatewayd.ctl.claude_code import run_environment, settings
from claude_gatewayd.ctl.claude_code.destinations import ROWS, TABLE, Row
from claude_gatewayd.ctl.claude_code.settings import GatewayTarget
from tests.fakes.anthropic import FakeAnthropic
from tests.scenarios.client import names
from tests.scenarios.client.claude import SUBSCRIPTION, VERSIONS, Claude, binary_of, why_no_client
from tests.scenarios.client.scene import Scene
from tests.support.daemon import BIN

pytestmark = [
    pytest.mark.client,
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.one_side("not through the gateway"),
]

NOWHERE: Final = tomllib.loads(Path(__file__).with_name("leads_nowhere.toml").read_text())["names"]
KNOWN: Final = {*ROWS, *(name for group in NOWHERE for name in group["are"])}
NATIVE: Final = "us.anthropic.claude-opus-4-8"
KEY: Final = "cgw-" + "k" * 43
DELEGATES: Final = (
    '[[tool Agent {"description": "d", "prompt": "hello from inside", "subagent_type": "general-purpose"}]]'
)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_name_of_these_families_is_known(version: str) -> None:
    """A newer client fails here with what is new: it belongs into the table, or into leads_nowhere.toml."""
    if reason := why_no_client(version):
        pytest.skip(reason)
    variables = names.variables(binary_of(version))
    assert {"ANTHROPIC_BASE_URL", "CLAUDE_CODE_USE_BEDROCK", "ANTHROPIC_MODEL", "HTTPS_PROXY"} <= variables
    assert sorted(variables - KNOWN) == []
    if version == VERSIONS[0]:
        return  # the source of the older one is written in another manner
    found = names.settings(binary_of(version))
    assert {"model", "apiKeyHelper", "modelOverrides"} <= found
    assert sorted(found - KNOWN) == []


def test_no_name_is_in_both_lists_or_has_gone(newest: str) -> None:
    listed = [name for group in NOWHERE for name in group["are"]]
    assert len(listed) == len(set(listed))
    assert set(listed) & set(ROWS) == set()
    data = binary_of(newest).read_bytes()
    assert [row.name for row in TABLE if row.name.encode() not in data] == []


@pytest.fixture
def fake() -> Iterator[FakeAnthropic]:
    """What stands for the gateway: it takes whatever it is asked."""
    with FakeAnthropic(direct=True) as fake:
        yield fake


def models(fake: FakeAnthropic) -> set[str]:
    """Return the models that were asked for."""
    return {request.json()["model"] for request in list(fake.requests) if request.body}


def claude_with(version: str, home: Path, url: str, files: dict[str, Any], env: dict[str, str]) -> Claude:
    """Return a client with a settings.json."""
    claude = Claude(version, url, home, SUBSCRIPTION, env={"CLAUDE_CODE_MAX_RETRIES": "0", **env})
    claude.prepare()
    (home / ".claude" / "settings.json").write_text(json.dumps(files))
    return claude


PINS: Final[dict[str, tuple[Any, str, tuple[str, ...]]]] = {  # its value, the prompt, and arguments
    "ANTHROPIC_MODEL": (NATIVE, "hello", ()),
    "ANTHROPIC_DEFAULT_MODEL": (NATIVE, "hello", ()),
    "ANTHROPIC_DEFAULT_OPUS_MODEL": (NATIVE, "hello", ()),  # the subscription's own
    "ANTHROPIC_DEFAULT_SONNET_MODEL": (NATIVE, "hello", ("--model", "sonnet")),
    "ANTHROPIC_DEFAULT_HAIKU_MODEL": (NATIVE, "hello", ("--model", "haiku")),
    "ANTHROPIC_DEFAULT_FABLE_MODEL": (NATIVE, "hello", ("--model", "fable")),
    "CLAUDE_CODE_SUBAGENT_MODEL": (NATIVE, DELEGATES, ()),
    "model": (NATIVE, "hello", ()),
    "modelOverrides": ({"claude-opus-5-5": NATIVE}, "hello", ()),
}
# Read in the binary and not seen: what uses them needs a terminal, minutes, or a second failure.
UNSEEN: Final = {
    "ANTHROPIC_SMALL_FAST_MODEL", "CLAUDE_CODE_WORKFLOW_SUBAGENT_MODEL", "CLAUDE_CODE_AUTO_MODE_MODEL",
    "CLAUDE_CODE_BG_CLASSIFIER_MODEL", "fallbackModel", "advisorModel",
}  # fmt: skip
LED: Final = [row for row in TABLE if row.kind in ("provider", "socket")]


def test_each_row_of_a_model_is_seen_or_listed() -> None:
    assert PINS.keys() | UNSEEN == {row.name for row in TABLE if row.kind == "model"}


@pytest.mark.parametrize("name", PINS)
def test_a_model_of_bedrocks(name: str, fake: FakeAnthropic, newest: str, home: Path) -> None:
    """In settings.json it is asked for; not after configure-claude, nor in a run."""
    value, prompt, arguments = PINS[name]
    document = {name: value} if ROWS[name].is_setting else {"env": {name: value}}
    claude = claude_with(newest, home, fake.url, document, {})
    assert claude.ask(prompt, *arguments).succeeded
    assert NATIVE in models(fake)

    fake.requests.clear()
    words = in_a_run(document, fake.url, [*arguments])
    assert claude_with(newest, home / "run", fake.url, document, {}).ask(prompt, *words).succeeded
    assert models(fake)
    assert NATIVE not in models(fake)

    fake.requests.clear()
    configured = json.loads(settings.configure(json.dumps(document), GatewayTarget(fake.url, KEY), {}).text)
    configured["env"].pop("ANTHROPIC_CUSTOM_HEADERS")  # the fake is strict: no server but ours is sent it
    assert claude_with(newest, home / "configured", fake.url, configured, {}).ask(prompt, *arguments).succeeded
    assert models(fake)
    assert NATIVE not in models(fake)


def in_a_run(document: dict[str, Any], url: str, words: list[str]) -> list[str]:
    """Return the arguments that `run` gives to claude, less the key."""
    values = {**document.get("env", {}), **{name: value for name, value in document.items() if name != "env"}}
    run = run_environment.through({}, values, GatewayTarget(url, KEY))
    run.overrides.pop("ANTHROPIC_CUSTOM_HEADERS", None)
    words, merged = run_environment.merged(words, run, str)
    return ["--settings", json.dumps(merged), *words]


@pytest.mark.parametrize("row", LED, ids=lambda row: row.name)
def test_what_leads_elsewhere(row: Row, fake: FakeAnthropic, newest: str, home: Path) -> None:
    """In settings.json it keeps the client from the gateway; not after configure-claude, nor in a run."""
    version = VERSIONS[0] if row.kind == "socket" else newest  # newer ones obey that in the environment only
    if reason := why_no_client(version):
        pytest.skip(reason)
    document = {"env": {row.name: "/nonexistent/socket" if row.kind == "socket" else 1, "AWS_REGION": "us-east-1"}}
    refused = {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}  # nobody else is reached
    claude_with(version, home, fake.url, document, refused).ask("hello")
    assert models(fake) == set()

    if row.kind != "socket":  # --settings cannot turn that off for the older one
        words = in_a_run(document, fake.url, [])
        assert claude_with(version, home / "run", fake.url, document, refused).ask("hello", *words).succeeded
        assert models(fake)

    fake.requests.clear()
    configured = json.loads(settings.configure(json.dumps(document), GatewayTarget(fake.url, KEY), {}).text)
    configured["env"].pop("ANTHROPIC_CUSTOM_HEADERS")
    assert claude_with(version, home / "configured", fake.url, configured, refused).ask("hello").succeeded
    assert models(fake)


def test_who_is_started_by_a_launcher_ignores_settings(fake: FakeAnthropic, newest: str, home: Path) -> None:
    row = ROWS["CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST"]
    document = {"env": {"ANTHROPIC_BASE_URL": fake.url}}
    elsewhere = {row.name: "1", "ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}
    claude_with(newest, home, "", document, elsewhere).ask("hello")
    assert models(fake) == set()
    run = run_environment.through(elsewhere, document["env"], GatewayTarget(fake.url, KEY)).environ
    run.pop("ANTHROPIC_CUSTOM_HEADERS")
    assert row.name not in run
    assert claude_with(newest, home / "run", "", document, run).ask("hello").succeeded
    assert models(fake)


# What people have who come from Bedrock or from Anthropic's platform on AWS.
FROM_BEDROCK: Final = {
    "awsAuthRefresh": "aws sso login --profile claude",
    "env": {
        "CLAUDE_CODE_USE_BEDROCK": 1,
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "4096",
        "ANTHROPIC_DEFAULT_OPUS_MODEL": "us.anthropic.claude-opus-4-1-20250805-v1:0",
        "ANTHROPIC_DEFAULT_SONNET_MODEL": "us.anthropic.claude-sonnet-4-5-20250929-v1:0[1m]",
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": "us.anthropic.claude-haiku-4-5-20251001-v1:0",
        "CLAUDE_CODE_SUBAGENT_MODEL": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "ANTHROPIC_MODEL": "us.anthropic.claude-3-7-sonnet-20250219-v1:0",
        "ANTHROPIC_SMALL_FAST_MODEL": "us.anthropic.claude-3-5-haiku-20241022-v1:0",
        "MAX_THINKING_TOKENS": "1024",
        "AWS_PROFILE": "claude",
        "AWS_REGION": "us-east-1",
    },
}
FROM_THE_PLATFORM: Final = {
    "env": {
        "CLAUDE_CODE_USE_BEDROCK": True,
        "CLAUDE_CODE_USE_ANTHROPIC_AWS": "1",
        "ANTHROPIC_AWS_WORKSPACE_ID": "wrkspc_01EXAMPLE",
    },
    "model": NATIVE,
}


def ctl(scene: Scene, home: Path, *words: str) -> str:
    """Run claude-gatewayctl for the owner of a home; return what it prints."""
    done = subprocess.run(
        [str(BIN / "claude-gatewayctl"), *words],
        env={**scene.daemon.environ, "CLAUDE_CONFIG_DIR": str(home / ".claude")}, cwd=home, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.mark.parametrize("document", [FROM_BEDROCK, FROM_THE_PLATFORM], ids=["bedrock", "platform"])
def test_settings_for_bedrock_and_back(document: dict[str, Any], scene: Scene, version: str, home: Path) -> None:
    """After configure-claude every turn goes to Anthropic; doctor says so; and all of it comes back."""
    claude = Claude(version, scene.daemon.url, home, env={"ANTHROPIC_BASE_URL": ""})
    claude.prepare()
    file = home / ".claude" / "settings.json"
    file.write_text(json.dumps(document, indent=2))
    found = ctl(scene, home, "doctor")
    pinned = [name for name, value in {**document["env"], **document}.items() if name in ROWS and value != 0]
    assert [name for name in pinned if f"{name} in {file}" not in found] == []
    assert "which AWS bills, even while Anthropic answers: us.anthropic." in found

    printed = ctl(scene, home, "configure-claude")
    assert "Conflicts:" not in printed
    assert f"{file}" in printed
    worked = claude.ask(DELEGATES)
    assert worked.succeeded, worked
    asked = scene.only("anthropic")
    assert len(asked) >= 2
    assert [request for request in asked if "anthropic." in request.json()["model"]] == []
    assert f"in {file}" not in ctl(scene, home, "doctor")

    ctl(scene, home, "remove-claude")
    assert file.read_text() == json.dumps(document, indent=2)


def test_without_configure_claude_they_go_to_bedrock(scene: Scene, version: str, home: Path) -> None:
    """That is why doctor calls it a failure: each turn is paid for, and nothing looks wrong."""
    claude = Claude(version, scene.daemon.url, home)
    claude.prepare()
    (home / ".claude" / "settings.json").write_text('{"model": "us.anthropic.claude-opus-4-8"}')
    assert claude.ask("good morning").succeeded
    assert len(scene.only("bedrock")) == 1
