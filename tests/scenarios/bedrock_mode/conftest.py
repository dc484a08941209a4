"""A daemon between a Bedrock and a client that speaks Bedrock's API, as Claude Code does in Bedrock mode."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import pytest

from tests.fakes.bedrock import FakeBedrock
from tests.support.daemon import Daemon
from tests.support.stage import Reply, Stage, keys_of

MODEL: Final = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
INVOKE: Final = f"/model/{MODEL}/invoke"
STREAM: Final = f"/model/{MODEL}/invoke-with-response-stream"
CONFIG: Final = "[bedrock]\nthrough = 'direct'\ntimeout = 3\n[litellm]\nload = 'lazy'\n"


def invocation(prompt: str = "hi", **more: object) -> bytes:
    """Return the body of an invocation."""
    messages = [{"role": "user", "content": prompt}]
    return json.dumps({
        "anthropic_version": "bedrock-2023-05-31", "max_tokens": 5, "messages": messages, **more,
    }).encode()  # fmt: skip


@dataclass
class ModeScene:
    """A daemon in Bedrock's place. *control* is the control plane, which the daemon asks for itself, too."""

    bedrock: FakeBedrock
    control: FakeBedrock
    daemon: Daemon
    key: str

    def ask(
        self,
        path: str = INVOKE,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "POST",
        key: bool = True,
    ) -> Reply:
        """Ask as Claude Code does: without a signature, with the gateway key."""
        stage = Stage(None, self.bedrock, self.daemon, "")  # type: ignore[arg-type]
        given = {"x-gateway-key": self.key} if key else {}
        body = (invocation() if method == "POST" else b"") if body is None else body
        return stage.ask(body, path=f"/bedrock{path}", method=method, headers={**given, **(headers or {})})

    @property
    def failure(self) -> str:
        """How Bedrock failed last, by the status."""
        return str(self.daemon.status()["bedrock"]["failure"])


@pytest.fixture(scope="module")
def module_scene() -> Iterator[ModeScene]:
    """Start a daemon that has AWS keys, and no Anthropic."""
    with FakeBedrock() as bedrock, FakeBedrock() as control:
        environ = keys_of(bedrock) | {"AWS_ENDPOINT_URL_BEDROCK": control.url}
        with Daemon(config=CONFIG, environ=environ) as daemon:
            yield ModeScene(bedrock, control, daemon, daemon.ctl("key").stdout.strip())
        assert "Traceback" not in daemon.log
        assert "fault of the gateway" not in daemon.log


@pytest.fixture
def scene(module_scene: ModeScene) -> Iterator[ModeScene]:
    """Return the scene with nothing in it of the test before."""
    module_scene.bedrock.clear_faults()
    module_scene.bedrock.revive_key()
    module_scene.bedrock.requests.clear()
    module_scene.control.requests.clear()
    yield module_scene
    module_scene.bedrock.release()
    assert module_scene.bedrock.violations == module_scene.control.violations == []
    module_scene.bedrock.refusals.clear()
