"""Measure the fallback to Bedrock, and Anthropic's lane while LiteLLM is being loaded.

Between the strict fakes of the tests, which are Python: the figures are for comparing with one another.
"""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.support.daemon import Daemon, wait_until
from tests.support.stage import MODEL, Stage, keys_of, turn

from bench import report

ROUNDS = 60
CONFIG = "[router]\nallowed_fails = 100\n"
LANE = "Anthropic answers"
TO_REQUEST = "Anthropic's failure to Bedrock's request"


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured, in milliseconds. *through* is the way that Bedrock was asked, or the state of LiteLLM."""

    what: str
    through: str
    values: list[float]


def timed(act: Callable[[], object], times: int = ROUNDS) -> list[float]:
    """Return how long an act takes, each time, in milliseconds."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        act()
        found.append((time.perf_counter() - begun) * 1000)
    return found


def measure(*, with_litellm: bool) -> list[Row]:
    """Measure the direct way, and LiteLLM's."""
    rows = []
    for through in ("direct", "litellm") if with_litellm else ("direct",):
        with FakeAnthropic() as anthropic, FakeBedrock() as bedrock:
            environ = keys_of(bedrock) | {"CLAUDE_GATEWAY_BEDROCK_THROUGH": through}
            with Daemon(upstream=anthropic.url, config=CONFIG, environ=environ) as daemon:
                stage = Stage(anthropic, bedrock, daemon)
                stage.prove()
                rows += _through(stage, through)
    return rows


def _through(stage: Stage, through: str) -> list[Row]:
    whole, forced = turn(stream=False), f"{MODEL}-bedrock"
    rows = [Row(LANE, f"{through}, before any trouble", timed(lambda: good(stage, whole, "anthropic"), 3 * ROUNDS))]
    if through == "litellm":
        rows.append(Row(LANE, "LiteLLM is loading", while_loading(stage)))
        rows.append(Row(LANE, "LiteLLM is loaded", timed(lambda: good(stage, whole, "anthropic"), 3 * ROUNDS)))
    rows.append(Row("the first answer of Bedrock's", through, timed(lambda: fallen_back(stage), 1)))
    return [
        *rows,
        Row(TO_REQUEST, through, [fallen_back(stage) for _ in range(ROUNDS)]),
        Row("Bedrock answers", through, timed(lambda: good(stage, turn(stream=False, model=forced), "bedrock"))),
        Row("Bedrock answers, as a stream", through, timed(lambda: good(stage, turn(model=forced), "bedrock"))),
    ]


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


def fallen_back(stage: Stage) -> float:
    """Return the milliseconds from Anthropic's failure to Bedrock's request."""
    stage.forget()
    stage.anthropic.fail_next(529)
    good(stage, turn(), "bedrock")
    (failed,), (asked,) = stage.to_anthropic(), stage.to_bedrock()
    wait_until(lambda: failed.answered is not None)  # the fake notes it after its last byte, and Bedrock is quicker
    assert failed.answered is not None
    return (asked.at - failed.answered) * 1000


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text, each beside Anthropic's lane of its daemon."""
    lane = {row.through.partition(",")[0]: statistics.median(row.values) for row in rows if "," in row.through}
    cells = []
    for row in rows:
        ordered = sorted(row.values)
        p95, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.95, 0.99))
        median = statistics.median(ordered)
        base = lane.get(row.through, lane.get("litellm", median)) if "," not in row.through else median
        figures = [f"{value:.2f}" for value in (median, p95, p99, ordered[-1], median / base)]
        cells.append([row.what, row.through, str(len(ordered)), *figures])
    heads = ["what (ms)", "by", "times", "median", "p95", "p99", "most", "x Anthropic's lane"]
    return report.table("between the fakes of the tests", heads, cells)
