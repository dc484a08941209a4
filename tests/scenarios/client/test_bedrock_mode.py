"""What the real Claude Code does in its own Bedrock mode, and nowhere else, with the gateway in Bedrock's place."""

from pathlib import Path
from typing import Any, Final

import pytest

from tests.fakes.anthropic_requests import Recorded
from tests.fakes.bedrock import INVOKE, STREAM, model_of, operation_of
from tests.scenarios.client import routes
from tests.scenarios.client.claude import SUBSCRIPTION, VERSIONS, Claude, Credential, worked
from tests.scenarios.client.scene import Scene, in_bedrock_mode
from tests.scenarios.client.session import Session

pytestmark = [
    pytest.mark.client,
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.one_side("in the background", "of other sessions"),
]

LONG: Final = "context-1m-2025-08-07"


@routes.by("bedrock-mode")
@pytest.mark.parametrize("own", ["keys", "bearer"])
def test_a_client_that_has_credentials_of_its_own(own: str, scene: Scene, version: str, home: Path) -> None:
    """It tries its models first. What it signs with, or shows, ends at the gateway."""
    mine = {
        "keys": {"AWS_ACCESS_KEY_ID": "AKIAOFTHECLIENT00000", "AWS_SECRET_ACCESS_KEY": "of-the-client"},
        "bearer": {"AWS_BEARER_TOKEN_BEDROCK": "bearer-of-the-client"},
    }[own]
    env = {"CLAUDE_CODE_SKIP_BEDROCK_AUTH": "", "AWS_REGION": "us-east-1", **mine}
    result = scene.claude(version, home, env=env).ask("good morning")
    worked(result)
    assert result.text == "Hello from the fake. You said: good morning"
    *probes, turn = scene.only("bedrock")
    assert [(operation_of(probe), probe.json()["max_tokens"]) for probe in probes] == [(INVOKE, 1)] * 3
    assert operation_of(turn) == STREAM
    for request in scene.bedrock.requests:
        assert not [value for value in mine.values() if value.encode() in request.head + request.body]


@routes.by("bedrock-mode")
def test_context(scene: Scene, version: str, home: Path) -> None:
    """The older client counts by a burst of requests for one token; the newer ones estimate."""
    claude = scene.claude(version, home)
    worked(claude.ask("good morning"))
    scene.forget()
    result = claude.ask("/context")
    assert result.succeeded, result
    assert "Estimated usage by category" in result.text
    counted = scene.only("bedrock")
    assert (len(counted) > 20) == (version == "2.1.197")
    assert {(operation_of(request), request.json()["max_tokens"]) for request in counted} <= {(INVOKE, 1)}


@routes.by("bedrock-mode")
def test_a_million_tokens(scene: Scene, version: str, home: Path) -> None:
    env = {"ANTHROPIC_MODEL": "us.anthropic.claude-sonnet-4-5-20250929-v1:0[1m]"}
    worked(scene.claude(version, home, env=env).ask("good morning"))
    (asked,) = scene.only("bedrock")
    assert operation_of(asked) == STREAM
    assert "claude-code-20250219" in (asked.header("anthropic-beta") or "")  # a beta that goes in no body
    assert model_of(asked) == "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    assert LONG in asked.json()["anthropic_beta"]


@routes.by("bedrock-mode")
def test_keys_that_are_over(scene: Scene, version: str, home: Path) -> None:
    """Claude Code would repeat another 403 for three minutes, with nobody there to be asked for the login."""
    scene.bedrock.expire_key()
    try:
        result = scene.claude(version, home).ask("good morning")
    finally:
        scene.bedrock.revive_key()
        scene.bedrock.refusals.clear()
    assert result.final["is_error"], result
    assert "Bedrock does not accept the AWS credentials" in result.text
    assert "claude-gatewayctl" in result.text
    assert result.of("system", "api_retry") == []
    assert len(scene.bedrock.requests) == 1


@routes.by("bedrock-mode", oldest=False)
def test_auto_mode(scene: Scene, version: str, home: Path) -> None:
    """The newer ones start in it. Where Bedrock refuses to check tool calls, they go on without."""
    with Session(scene.claude(version, home, SUBSCRIPTION)) as session:
        session.say("[[say the lake is deep]]")
        session.until("● the lake is deep")
    asked = [request for request in scene.bedrock.requests if operation_of(request) == STREAM]
    if version == routes.OLDEST:  # which has no such mode there
        assert {(request.status, "safeguards" in request.json()) for request in asked} == {(200, False)}
        return
    refused, answered = asked
    assert (refused.status, "safeguards" in refused.json()) == (400, True)
    assert (answered.status, "safeguards" in answered.json()) == (200, False)
    assert len(scene.bedrock.refusals) == 1
    scene.bedrock.refusals.clear()


@pytest.mark.parametrize(
    ("version", "route"),
    [
        pytest.param(routes.NEWEST, "direct"),  # the oldest offers other tools to a gateway than to Bedrock
        *(pytest.param(version, "direct", marks=pytest.mark.extended) for version in VERSIONS[1:-1]),
    ],
    indirect=True,
)
@pytest.mark.parametrize("model", ["opus-4-8", "opus-5-5", "sonnet-4-6"])
def test_bedrock_receives_what_the_client_itself_would_send(
    model: str, scene: Scene, version: str, home: Path, tmp_path: Path
) -> None:
    """Both for the same turn with a tool: by the gateway, which falls back, and by the client in Bedrock mode."""
    scene.is_down()
    own, names = scene.bedrock.models, {"by the gateway": f"claude-{model}"}
    names["in Bedrock mode"] = next(name for name in own if name.startswith(f"us.anthropic.claude-{model}"))
    received = []
    for how, name in names.items():
        claude = scene.claude(version, home if how == "by the gateway" else tmp_path / "other")
        if how != "by the gateway":
            claude = in_bedrock_mode(claude, scene.daemon)
        worked(claude.ask('[[tool Bash {"command": "echo hi", "description": "say hi"}]]', "--model", name))
        received.append([form(request) for request in scene.bedrock.requests])
        scene.forget()
    ours, theirs = received
    assert len(ours) == 2
    assert ours == theirs


def form(request: Recorded) -> tuple[str, str | None, Any]:
    """Return where a request went, the betas of its header, and its body without what differs between two sessions."""
    body = request.json()
    assert body.pop("metadata")
    body["tools"] = [(tool["name"], sorted(tool)) for tool in body["tools"]]
    system = [block for block in body["system"] if not block["text"].startswith("x-anthropic-billing-header")]
    body["system"] = [block | {"text": ""} for block in system]  # without what would spoil Bedrock's cache
    for message in body["messages"]:
        if isinstance(message["content"], list):
            message["content"] = [(block["type"], sorted(block)) for block in message["content"]]
        else:
            message["content"] = ""
    return request.path, request.header("anthropic-beta"), body


@routes.by("bedrock-mode")
def test_what_configure_claude_writes(scene: Scene, version: str, home: Path) -> None:
    """It is enough, whatever led elsewhere before, for a person who is signed in nowhere."""
    settings = home / ".claude" / "settings.json"
    settings.parent.mkdir(parents=True)
    original = '{"env": {"CLAUDE_CODE_USE_VERTEX": "1", "ANTHROPIC_MODEL": "claude-opus-4-8-bedrock"}}'
    settings.write_text(original)
    environ = scene.daemon.environ | {"CLAUDE_CONFIG_DIR": str(settings.parent)}
    scene.daemon.environ, before = environ, scene.daemon.environ
    try:
        done = scene.daemon.ctl("configure-claude", "--bedrock")
        assert done.returncode == 0, done.stderr
        claude = Claude(version, "", home, Credential("nobody"))
        worked(claude.ask("good morning"))
        assert {operation_of(request) for request in scene.only("bedrock")} == {STREAM}
        assert scene.daemon.ctl("remove-claude").returncode == 0
        assert settings.read_text() == original
    finally:
        scene.daemon.environ = before
