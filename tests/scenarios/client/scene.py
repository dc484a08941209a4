"""A gateway between the two fakes, with LiteLLM loaded and a caller who is known."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.anthropic_faults import MESSAGES
from tests.fakes.anthropic_requests import Recorded
from tests.fakes.bedrock import FakeBedrock
from tests.fakes.shapes import API_KEY, OAUTH_TOKEN
from tests.support.daemon import Daemon
from tests.support.stage import Stage, keys_of

Lane = Literal["anthropic", "bedrock"]
LANES: Final[tuple[Lane, ...]] = ("anthropic", "bedrock")

CONFIG: Final = "[router]\nallowed_fails = 100\n"  # the circuit stays closed: each turn tries Anthropic


@dataclass
class Scene:
    """A gateway between the two, whose caller is known."""

    anthropic: FakeAnthropic
    bedrock: FakeBedrock
    daemon: Daemon

    def is_down(self, *, after: int = 0) -> None:
        """Let Anthropic fail every message but the next *after*."""
        if after:
            self.anthropic.pass_next(times=after)
        self.anthropic.fail_next(529, times=1000)

    def is_up(self) -> None:
        """Let Anthropic answer again."""
        self.anthropic.clear_faults()

    def answers_by(self, lane: Lane) -> None:
        """Let one of the two answer from now on, and forget the requests so far."""
        self.is_up()
        if lane == "bedrock":
            self.is_down()
        self.forget()

    def forget(self) -> None:
        """Forget the requests so far."""
        self.anthropic.requests.clear()
        self.bedrock.requests.clear()

    def answered(self, lane: Lane) -> list[Recorded]:
        """Return the messages that one of the two has answered."""
        asked = self.bedrock.requests if lane == "bedrock" else self.anthropic.requests
        return [r for r in list(asked) if r.status == 200 and (lane == "bedrock" or r.path == MESSAGES)]

    def only(self, lane: Lane) -> list[Recorded]:
        """Return the messages that were answered, having seen that nobody else has answered any."""
        other: Lane = "anthropic" if lane == "bedrock" else "bedrock"
        assert self.answered(other) == []
        return self.answered(lane)


@contextmanager
def between_the_two() -> Iterator[Scene]:
    """Start a gateway with LiteLLM loaded, and let Anthropic accept the callers' credentials."""
    secrets = (OAUTH_TOKEN, API_KEY)
    with FakeAnthropic() as anthropic, FakeBedrock(canaries=[secret.encode() for secret in secrets]) as bedrock:
        with Daemon(upstream=anthropic.url, config=CONFIG, environ=keys_of(bedrock)) as daemon:
            stage = Stage(anthropic, bedrock, daemon)
            stage.wait_loaded()
            stage.prove(OAUTH_TOKEN)
            reply = stage.ask(token="", headers={"x-api-key": API_KEY})
            assert reply.status == 200, reply
            yield Scene(anthropic, bedrock, daemon)
        assert "Traceback" not in daemon.log
        for secret in secrets:
            assert secret not in daemon.log
