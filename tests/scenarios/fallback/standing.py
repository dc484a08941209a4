"""A daemon between two fakes, and by which transport it asks Bedrock."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.support.daemon import Daemon
from tests.support.stage import MODEL, Stage, keys_of, turn

CONFIG = "[router]\nnum_retries = 0\nallowed_fails = 100\n"
BY_NAME = f"{MODEL}-bedrock"
DIRECT = {"CLAUDE_GATEWAY_BEDROCK_THROUGH": "direct"}


@contextmanager
def standing(*, config: str = "", environ: Mapping[str, str] | None = None) -> Iterator[Stage]:
    """Yield a daemon between two fakes, and a caller whom Anthropic knows."""
    with FakeAnthropic() as anthropic, FakeBedrock() as bedrock:
        given = keys_of(bedrock) | dict(environ or {})
        with Daemon(upstream=anthropic.url, config=CONFIG + config, environ=given) as daemon:
            stage = Stage(anthropic, bedrock, daemon)
            stage.prove()
            yield stage
        assert "Traceback" not in daemon.log
        assert bedrock.violations == anthropic.violations == []


def asked(stage: Stage, *, stream: bool = True) -> str:
    """Let Anthropic fail, and Bedrock answer; return by which transport."""
    stage.anthropic.fail_next(529)
    reply = stage.ask(turn(stream=stream))
    assert (reply.status, reply.headers["x-gateway-upstream"]) == (200, "bedrock"), reply
    return reply.headers["x-gateway-bedrock"]


def state(stage: Stage) -> tuple[str, str]:
    """Return LiteLLM's state, and how Bedrock would be asked now."""
    status = stage.daemon.status()
    return status["litellm"]["state"], status["bedrock"]["transport"]
