"""The stage of these tests: a daemon whose Anthropic is down, a Bedrock, and AWS that gives keys for seconds."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.aws import FakeAws
from tests.fakes.aws_home import AwsHome
from tests.fakes.bedrock import FakeBedrock
from tests.support.daemon import Daemon, wait_until
from tests.support.stage import Reply, Stage, Through, transport, turn

KEYS_LIVE: Final = 6.0
TOKENS_LIVE: Final = 9.0
CONFIG: Final = """
[router]
num_retries = 0
allowed_fails = 100
cooldown_time = 0.1
[bedrock]
profile = "x"
"""
_CALLERS: Final = 6
_A_SECOND: Final = 8.0


@dataclass
class Kept:
    """A daemon that has only Bedrock, by SSO."""

    aws: FakeAws
    home: AwsHome
    bedrock: FakeBedrock
    stage: Stage

    @property
    def daemon(self) -> Daemon:
        """The daemon."""
        return self.stage.daemon

    def credentials(self) -> dict[str, Any]:
        """Return what `status` says of the credentials."""
        credentials: dict[str, Any] = self.daemon.status()["credentials"]
        return credentials

    def wait_state(self, *states: str, seconds: float = 20.0) -> dict[str, Any]:
        """Wait until the credentials are in one of the states; return what `status` says of them."""
        wait_until(lambda: self.credentials()["state"] in states, seconds, lambda: f"{self.credentials()}")
        return self.credentials()

    def start_anew(self) -> None:
        """Let all be well again: somebody logged in, keys that are renewed, nothing counted."""
        self.aws.up()
        self.aws.latency.clear()
        self.aws.lives.keys, self.aws.lives.access_token = KEYS_LIVE, TOKENS_LIVE
        self.home.log_in()
        self.aws.kill_keys()
        assert self.ask().status == 200
        self.wait_state("ok")
        self.aws.forget_calls()

    def ask(self, prompt: str = "hi", *, stream: bool = True) -> Reply:
        """Ask what only Bedrock answers."""
        return self.stage.ask(turn(prompt, stream=stream))


@contextmanager
def kept_daemon(through: Through | None = "litellm", *, is_brief: bool = False) -> Iterator[Kept]:
    """Yield a daemon with a person logged in, and LiteLLM loaded if Bedrock is asked through it; None: as by default.

    If it *is_brief*, keys and tokens live for seconds from the start.
    """
    with FakeAnthropic() as anthropic, FakeAws() as aws, FakeBedrock(issued=aws.keys, region=aws.region) as bedrock:
        environ = {
            **aws.environ,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock.url,
            "AWS_REGION": aws.region,
            **(transport(through) if through is not None else {}),
        }
        daemon = Daemon(upstream=anthropic.url, config=CONFIG, environ=environ)
        home = AwsHome(daemon.home, aws)
        home.sso_session()
        home.sso_profile("x")
        if is_brief:
            aws.lives.keys, aws.lives.access_token = KEYS_LIVE, TOKENS_LIVE
        home.log_in()
        with daemon:
            kept = Kept(aws, home, bedrock, Stage(anthropic, bedrock, daemon))
            if through is not None:
                kept.stage.wait_asking(through)
            kept.stage.prove()
            anthropic.fail_next(529, times=1_000_000)
            yield kept
            output = daemon.ctl("status", "--json").stdout + daemon.ctl("credentials").stdout
        output += daemon.log
    assert "Traceback" not in output
    assert not [secret for secret in aws.secrets if secret in output]
    assert aws.violations == []
    assert bedrock.violations == []


@dataclass
class Load:
    """Callers who ask eight times a second, in turns for a stream and for the whole, and count what they get."""

    kept: Kept
    good: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(number,)) for number in range(_CALLERS)]

    @property
    def served(self) -> int:
        """How many were answered, and whole."""
        return sum(self.good.values())

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self.seconds = time.monotonic() - self._began

    def lasts(self, seconds: float) -> None:
        """Go on for so long."""
        self._over.wait(seconds)

    def _call(self, number: int) -> None:
        turns = number
        while not self._over.is_set():
            turns += 1
            begun = time.monotonic()
            what = "streamed" if turns % 2 else "whole"
            try:
                reply = self.kept.ask(stream=what == "streamed")
                if _is_whole(reply):
                    self.good[what] += 1
                else:
                    self.bad.append(f"{what}: {reply.status} {reply.body[:300]!r}")
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.bad.append(f"{what}: {error!r}")
            took = time.monotonic() - begun
            self.slowest = max(self.slowest, took)
            self._over.wait(max(0.0, _CALLERS / _A_SECOND - took))

    def summary(self, what: str) -> str:
        """Return the counts as a line to print."""
        calls = ", ".join(f"{count} {name}" for name, count in sorted(self.kept.aws.counts().items()))
        return (
            f"{what}: {self.served}/{self.served + len(self.bad)} served in {self.seconds:.0f} s "
            f"({self.good['streamed']} streamed, {self.good['whole']} whole), slowest {self.slowest:.2f} s; {calls}"
        )


def _is_whole(reply: Reply) -> bool:
    if reply.status != 200 or reply.headers["x-gateway-upstream"] != "bedrock":
        return False
    if reply.headers["content-type"].startswith("text/event-stream"):
        return reply.events[-1][0] == "message_stop"
    message: dict[str, object] = json.loads(reply.body)
    return message["type"] == "message"
