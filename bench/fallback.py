"""Measure what Bedrock costs: its lane, the fallback to it, and Anthropic's lane beside LiteLLM. In one run.

Between the strict fakes of the tests, which are Python: the figures are for comparing with one another.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.support.daemon import Daemon
from tests.support.stage import MODEL, Stage, keys_of, turn

ROUNDS = 100
CONFIG = '[router]\nallowed_fails = 100\n[litellm]\nload = "lazy"\n'


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured, in milliseconds."""

    what: str
    values: list[float]

    def __str__(self) -> str:
        ordered = sorted(self.values)
        p95, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.95, 0.99))
        median = statistics.median(ordered)
        return f"| {self.what} | {len(ordered)} | {median:.2f} | {p95:.2f} | {p99:.2f} | {ordered[-1]:.1f} |"


def timed(act: Callable[[], object], times: int = ROUNDS) -> list[float]:
    """Return how long an act takes, each time, in milliseconds."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        act()
        found.append((time.perf_counter() - begun) * 1000)
    return found


def good(stage: Stage, body: bytes, upstream: str) -> None:
    """Ask, and hold that the answer is right."""
    reply = stage.ask(body)
    assert (reply.status, reply.headers["x-gateway-upstream"]) == (200, upstream), reply


def while_loading(stage: Stage) -> list[float]:
    """Return the times of Anthropic's lane from the moment that LiteLLM is wanted to that at which it is ready."""
    stage.anthropic.fail_next(529, headers={"x-should-retry": "false"}, path="/v1/messages/count_tokens")
    stage.ask(json.dumps({"model": MODEL, "messages": []}).encode(), path="/v1/messages/count_tokens")
    found: list[float] = []
    while stage.daemon.status()["litellm"]["state"] != "ready":
        found += timed(lambda: good(stage, turn(stream=False), "anthropic"), 50)
    return found


def fallbacks(stage: Stage) -> list[float]:
    """Return the times from Anthropic's failure to Bedrock's request."""
    found = []
    for _ in range(ROUNDS):
        stage.forget()
        stage.anthropic.fail_next(529)
        good(stage, turn(), "bedrock")
        (failed,), (asked,) = stage.to_anthropic(), stage.to_bedrock()
        assert failed.answered is not None
        found.append((asked.at - failed.answered) * 1000)
    return found


def main() -> int:
    """Measure, and print a table."""
    with FakeAnthropic() as anthropic, FakeBedrock() as bedrock:
        daemon = Daemon(upstream=anthropic.url, config=CONFIG, environ=keys_of(bedrock))
        with daemon:
            stage = Stage(anthropic, bedrock, daemon)
            stage.prove()
            whole, stream, forced = turn(stream=False), turn(), f"{MODEL}-bedrock"
            rows = [
                Row("Anthropic, LiteLLM not loaded", timed(lambda: good(stage, whole, "anthropic"), 5 * ROUNDS)),
                Row("Anthropic, while LiteLLM is loading", while_loading(stage)),
                Row("Anthropic, LiteLLM loaded", timed(lambda: good(stage, whole, "anthropic"), 5 * ROUNDS)),
                Row("Bedrock, the first answer", timed(lambda: good(stage, turn(model=forced), "bedrock"), 1)),
                Row("Bedrock, whole", timed(lambda: good(stage, turn(stream=False, model=forced), "bedrock"))),
                Row("Bedrock, streamed", timed(lambda: good(stage, turn(model=forced), "bedrock"))),
                Row("Anthropic fails (529) to Bedrock's request", fallbacks(stage)),
                Row("Anthropic fails, to the whole answer", _failing(stage, stream)),
            ]
            status = daemon.status()
            print("| what (ms) | times | median | p95 | p99 | most |\n|---|---|---|---|---|---|")
            print(*rows, sep="\n")
            print(
                f"\nLiteLLM loaded in {status['litellm']['seconds']} s; worker {status['memory']['workers'] >> 20} MiB"
            )
    return 0


def _failing(stage: Stage, body: bytes) -> list[float]:
    stage.anthropic.fail_next(529, times=ROUNDS)
    return timed(lambda: good(stage, body, "bedrock"))


if __name__ == "__main__":
    sys.exit(main())
