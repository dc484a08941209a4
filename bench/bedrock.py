"""Measure what Bedrock costs, directly and through LiteLLM, beside Anthropic's lane: in one run, with one upstream.

`bench/upstream.c` answers for both Anthropic and Bedrock, as fast as it can: what is left is what the gateway adds.
What needs an upstream that fails is measured by `fallback`.
"""

import argparse
import json
import math
import shutil
import signal
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import client, fallback, load, processes, report, targets
from bench.measure import (
    CONNECTIONS,
    FAST_STREAM,
    SLOW_STREAM,
    UNPACED_STREAM,
    WARM_UP,
    Stream,
    Times,
    summary,
    turn_of,
)
from bench.report import Goal
from bench.targets import BEDROCK, DIRECT, Recipe, Target, Unavailable
from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.worker.bedrock import signing

ANSWERS = 10_000
CPU_TURNS = 5
TROUBLE = b'{"model":"%b","messages":[]}' % client.MODEL.encode()
LANE, DIRECTLY, THROUGH_LITELLM = "Anthropic's lane", "Bedrock, directly", "Bedrock, LiteLLM"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    asks: int
    streams: int
    starts: int


FULL = Plan(rounds=11, asks=60, streams=4, starts=5)
QUICK = Plan(rounds=5, asks=20, streams=2, starts=3)


@dataclass(frozen=True, slots=True)
class Row:
    """What one of the rows of a table asks: *model* of *target*."""

    name: str
    target: Target
    model: str

    def turn(self, asks: int, stream: Stream | None) -> list[client.Answer]:
        """Ask some times, one after the other."""
        slow = self.name == THROUGH_LITELLM
        asks = max(1, asks // 8) if slow else asks
        if stream is None:
            message = self.target.request(client.body(2, model=self.model))
            return turn_of(self.target, asks, partial(client.Connection.ask, message=message))
        content = client.body(2, deltas=stream.deltas, gap_us=stream.gap_us, model=self.model)
        ask = partial(client.Connection.ask_stream, message=self.target.request(content), deltas=stream.deltas)
        return turn_of(self.target, asks, ask)


@dataclass(frozen=True, slots=True)
class Memory:
    """MB of a million bytes: of a worker that has met no trouble, of one that has answered from Bedrock."""

    before_trouble: float
    directly: float
    with_litellm: float


def measure(
    rows: Sequence[Row], plan: Plan, asks: int, stream: Stream | None, *, first: bool = False
) -> dict[str, Times]:
    """Ask all rows in turn, round by round."""
    samples: dict[str, list[list[float]]] = {row.name: [] for row in rows}
    for number in range(plan.rounds):
        at = number % len(rows)
        for row in [*rows[at:], *rows[:at]]:
            answers = row.turn(asks, stream)
            samples[row.name].append([(answer.first_event or 0.0) if first else answer.total for answer in answers])
    return summary(samples)


def cpu_of(row: Row, asks: int, stream: Stream | None) -> float:
    """Return the CPU time that a worker needs for an answer, in microseconds: the least of some turns."""
    worker = processes.family(row.target.process.pid)[1]
    found = []
    for _ in range(CPU_TURNS):
        clock = processes.CpuClock([worker])
        answers = row.turn(asks, stream)
        found.append(1e6 * clock.elapsed() / (len(answers) + WARM_UP))
    return min(found)


def starts(recipe: Recipe, count: int, scratch: Path) -> list[float]:
    """Return the seconds from starts to the first answers."""
    found = []
    for _ in range(count):
        with targets.started(recipe, scratch) as target:
            found.append(target.first_answer)
    return found


def worker_memory(target: Target) -> float:
    """Return what the worker holds."""
    found = processes.memory(processes.family(target.process.pid)[1])
    return found.rss if found is not None else math.nan


def signing_times(kib: int, times: int = 300) -> list[float]:
    """Return the milliseconds that signatures take."""
    keys = AwsKeys("AKIDEXAMPLE", "bench-secret", "bench-token" * 60)
    body, host = client.body(kib), "bedrock-runtime.us-east-1.amazonaws.com"
    url = f"https://{host}/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/invoke"
    sign: Callable[[], object] = partial(signing.signature, keys, "us-east-1", "POST", url, host, body)
    return fallback.timed(sign, times + 10)[10:]


def main() -> int:
    """Measure, print tables; return 1 if a target gave a wrong answer."""
    parser = argparse.ArgumentParser(prog="python -m bench.bedrock", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: for a look, not for the record")
    parser.add_argument("--no-litellm", action="store_true", help="only Bedrock asked directly, which is quicker")
    parser.add_argument("--json", type=Path, metavar="PATH", help="save the goals there")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    plan = QUICK if chosen.quick else FULL
    scratch = Path(tempfile.mkdtemp(prefix="gwbench-"))
    try:
        goals, wrong = run(plan, scratch, with_litellm=not chosen.no_litellm)
    except Unavailable as error:
        sys.exit(f"cannot run the bench: {error}")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{report.goals_table(goals)}\n")
    if chosen.json:
        chosen.json.write_text(json.dumps([[goal.goal, goal.limit, goal.figure, goal.verdict] for goal in goals]))
    for text in wrong:
        print(f"WRONG ANSWER: {text[:200]}", file=sys.stderr)
    return 1 if wrong else 0


def run(plan: Plan, scratch: Path, *, with_litellm: bool) -> tuple[list[Goal], list[str]]:
    """Measure all of it, and print the tables."""
    for name, value in report.circumstances().items():
        print(f"{name}: {value}")
    with ExitStack() as stack:
        upstream = stack.enter_context(targets.started(targets.direct(), scratch))
        directly = targets.gateway(upstream.port, through="direct")
        begun = starts(directly, plan.starts, scratch)
        lanes = starts(targets.gateway(upstream.port), plan.starts, scratch)
        direct = stack.enter_context(targets.started(directly, scratch))
        default = stack.enter_context(targets.started(targets.gateway(upstream.port, through="litellm"), scratch))
        rows = [
            Row(DIRECT, upstream, client.MODEL),
            Row(LANE, direct, client.MODEL),
            Row(DIRECTLY, direct, client.MODEL + BEDROCK),
        ]
        Row(LANE, default, client.MODEL).turn(200, None)
        before = worker_memory(default)
        if with_litellm:
            targets.wait_for_litellm(default)
            rows.append(Row(THROUGH_LITELLM, default, client.MODEL + BEDROCK))
        for row in rows:
            row.turn(80, None)
            row.turn(8, Stream(60))
        whole = measure(rows, plan, plan.asks, None)
        first = measure(rows, plan, plan.streams * 2, SLOW_STREAM, first=True)
        paced = measure(rows, plan, plan.streams, FAST_STREAM)
        unpaced = measure(rows, plan, plan.streams, UNPACED_STREAM)
        cpu = [
            (row.name, cpu_of(row, plan.asks, None), cpu_of(row, 2, UNPACED_STREAM))
            for row in rows
            if row.target is not upstream
        ]
        content = client.body(2, model=client.MODEL + BEDROCK)
        done = 0
        while done < ANSWERS:
            under_load = load.run(direct.port, content, direct.recipe.headers, CONNECTIONS, 2, scratch)
            done += under_load.requests
            if under_load.errors:
                direct.wrong.append(f"{under_load.errors} wrong answers of {under_load.requests} under load")
                break
        memory = Memory(before, worker_memory(direct), worker_memory(default) if with_litellm else math.nan)
        wrong = [text for target in (upstream, direct, default) for text in target.wrong]
    signed = {kib: statistics.median(signing_times(kib)) for kib in (2, 128)}
    failing = fallback.measure(with_litellm=with_litellm)
    print(
        "",
        report.times_table("a whole answer, 2 KiB (ms)", whole),
        report.times_table("first event of a stream (ms)", first),
        report.times_table(f"stream{report.shape(FAST_STREAM)}, to its end (ms)", paced),
        report.times_table(f"stream{report.shape(UNPACED_STREAM)}, to its end (ms)", unpaced),
        report.table(
            "CPU time of the worker (µs), which depends little on what else the machine does",
            ["who answers", "a whole answer", f"stream{report.shape(UNPACED_STREAM)}"],
            [[name, f"{short:,.0f}", f"{long:,.0f}"] for name, short, long in cpu],
        ),
        report.table(
            "start to the first answer (s)",
            ["who answers", "median", "quickest", "slowest"],
            [
                [name, *(f"{value:.3f}" for value in (statistics.median(every), min(every), max(every)))]
                for name, every in ((LANE, lanes), (DIRECTLY, begun))
            ],
        ),
        report.table(
            "memory of the worker (MB)",
            ["before the first trouble", f'"direct" after {done:,} answers', "LiteLLM loaded"],
            [[f"{value:.1f}" for value in (memory.before_trouble, memory.directly, memory.with_litellm)]],
        ),
        report.table(
            "signing (ms)",
            ["body", "median", "share of what Bedrock's lane adds"],
            [[f"{kib} KiB", f"{ms:.3f}", f"{ms / whole[DIRECTLY].added:.2f}"] for kib, ms in signed.items()],
        ),
        fallback.table(failing),
        sep="\n\n",
        end="\n\n",
    )
    return judge(whole, first, paced, statistics.median(begun), memory, signed[2], failing), wrong


def judge(
    whole: dict[str, Times],
    first: dict[str, Times],
    paced: dict[str, Times],
    start: float,
    memory: Memory,
    signing_ms: float,
    failing: Sequence[fallback.Row],
) -> list[Goal]:
    """Hold the figures against the goals."""
    to_request = next(row for row in failing if row.what == fallback.TO_REQUEST and row.through == "direct")
    return [
        report.at_most("first Bedrock answer after a start", start, 0.6, "s", None),
        report.at_most(fallback.TO_REQUEST, statistics.median(to_request.values), 5, "ms", None),
        _to_lane("a whole answer, added", whole),
        _to_lane("first event of a stream, added", first),
        report.of_stream(FAST_STREAM, paced, 1.5, DIRECTLY),
        report.at_most(f'worker of "direct" after {ANSWERS:,} answers', memory.directly, 60, "MB", None),
        report.at_most("worker of the default before the first trouble", memory.before_trouble, 45, "MB", None),
        report.at_most("signing, 2 KiB", signing_ms, 0.2, "ms", None),
    ]


def _to_lane(what: str, times: dict[str, Times]) -> Goal:
    own, its = times[DIRECTLY].added, times[LANE].added
    figure = f"{own / its:.2f} x ({own:.3f} ms to {its:.3f} ms)" if its > 0 else f"{own:.3f} ms to {its:.3f} ms"
    verdict = report.REACHED if own <= 5 * its else report.NOT_REACHED
    return Goal(what, f"<= 5 x {LANE}", figure, verdict)


if __name__ == "__main__":
    sys.exit(main())
