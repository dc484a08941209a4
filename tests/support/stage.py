"""The stage of these tests: a daemon with LiteLLM loaded, between an Anthropic and a Bedrock."""

import http.client
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.anthropic_faults import MESSAGES
from tests.fakes.anthropic_requests import Recorded
from tests.fakes.bedrock import FakeBedrock
from tests.support.daemon import Daemon, wait_until

MODEL = "claude-opus-4-8"
PATIENCE = 60.0
LOADED_WITHIN = 240.0  # seconds: several on one busy machine import it at the same time
# By default LiteLLM is loaded at the first sign of trouble; with this, at the start.
EAGER = {"CLAUDE_GATEWAY_LITELLM_LOAD": "eager"}

Through = Literal["litellm", "direct"]
THROUGH: Final[tuple[Through, ...]] = ("litellm", "direct")
by_each_transport = pytest.mark.parametrize("through", THROUGH)

_number = itertools.count(1)


def keys_of(bedrock: FakeBedrock) -> dict[str, str]:
    """Return the environment of somebody who may use this Bedrock."""
    return {
        "AWS_ACCESS_KEY_ID": bedrock.key.access_key,
        "AWS_SECRET_ACCESS_KEY": bedrock.key.secret,
        "AWS_SESSION_TOKEN": bedrock.key.token or "",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock.url,
        "AWS_REGION": bedrock.region,
    }


def asking(bedrock: FakeBedrock, through: Through) -> dict[str, str]:
    """Return the environment of somebody who asks this Bedrock so; see `Stage.wait_asking`."""
    return keys_of(bedrock) | transport(through)


def transport(through: Through) -> dict[str, str]:
    """Return the environment of a daemon that asks Bedrock so, from the start if it can."""
    return {"CLAUDE_GATEWAY_BEDROCK_THROUGH": through, **(EAGER if through == "litellm" else {})}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """What an error in Anthropic's envelope says."""
        said = self.json
        assert said["type"] == "error", said
        text: str = said["error"]["message"]
        return text

    @property
    def events(self) -> list[tuple[str, Any]]:
        """The events of a stream: name and data."""
        assert self.headers["content-type"].startswith("text/event-stream"), self
        found = []
        for block in self.body.decode().replace("\r\n", "\n").strip("\n").split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
            found.append((lines.get("event", ""), json.loads(lines["data"])))
        return found

    @property
    def text(self) -> str:
        """The text of a message, streamed or not."""
        if self.headers["content-type"].startswith("text/event-stream"):
            return "".join(
                data["delta"]["text"]
                for name, data in self.events
                if name == "content_block_delta" and data["delta"]["type"] == "text_delta"
            )
        return "".join(block["text"] for block in self.json["content"] if block["type"] == "text")


def turn(prompt: str = "hi", *, stream: bool = True, model: str = MODEL, **more: Any) -> bytes:
    """Return the body of a request for a message."""
    messages = [{"role": "user", "content": prompt}]
    return json.dumps({"model": model, "messages": messages, "max_tokens": 99, **more, "stream": stream}).encode()


@dataclass
class Stage:
    """A daemon between two fakes, and somebody who calls it."""

    anthropic: FakeAnthropic
    bedrock: FakeBedrock
    daemon: Daemon
    token: str = field(default_factory=lambda: f"sk-ant-oat01-invented-{next(_number):04}")

    def wait_loaded(self) -> None:
        """Return when LiteLLM is ready: of a daemon that is EAGER, has a configuration for it, or has met trouble."""
        wait_until(
            lambda: self.daemon.status()["litellm"]["state"] in ("ready", "failed"), LOADED_WITHIN, self.daemon.describe
        )
        assert self.daemon.status()["litellm"]["state"] == "ready", self.daemon.status()["litellm"]

    def wait_asking(self, through: Through) -> None:
        """Return when Bedrock is asked so."""
        if through == "litellm":
            self.wait_loaded()

    def ask(
        self,
        body: bytes | None = None,
        *,
        path: str = "/v1/messages?beta=true",
        method: str = "POST",
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Ask the daemon, as the caller or with another *token* ("" for none)."""
        bearer = self.token if token is None else token
        given = {"content-type": "application/json", "anthropic-version": "2023-06-01"}
        if bearer:
            given["authorization"] = f"Bearer {bearer}"
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=LOADED_WITHIN)
        try:
            connection.request(method, path, turn() if body is None else body, {**given, **(headers or {})})
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def prove(self, token: str | None = None) -> None:
        """Let Anthropic show that the caller's credential is real."""
        reply = self.ask(turn("prove me"), token=token)
        assert reply.status == 200, reply
        assert reply.headers["x-gateway-upstream"] == "anthropic"
        self.forget()

    def forget(self) -> None:
        """Forget the requests so far."""
        self.anthropic.requests.clear()
        self.bedrock.requests.clear()

    def anthropic_is_down(self, status: int = 529) -> None:
        """Let Anthropic answer every message with an error."""
        self.anthropic.fail_next(status, times=10_000)

    def to_anthropic(self) -> list[Recorded]:
        """Return the messages that Anthropic was asked for."""
        return [request for request in self.anthropic.requests if request.path == MESSAGES]

    def to_bedrock(self) -> list[Recorded]:
        """Return what Bedrock was asked."""
        return list(self.bedrock.requests)
