"""The measurements, every one turn by turn.

A round asks each target in a rotated order, so that whatever else the machine does hits all alike. What a
target adds is taken per round against `direct`; the figure is the median over the rounds.
"""

import gc
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench import client, load, processes, targets
from bench.targets import Recipe, Target, Unavailable

WARM_UP = 3  # requests of each turn that are not counted
CONNECTIONS = 16
LOADING_SECONDS = 4  # of load while LiteLLM is loaded, which takes 5 s at least
LIMIT_OF_WRONG = 3  # wrong answers after which a target's turn is given up


@dataclass(frozen=True)
class Stream:
    """How many deltas a stream has, and how far apart."""

    deltas: int
    gap_us: int = 0


SLOW_STREAM = Stream(10, 1000)  # its events are read one by one, as from a model
FAST_STREAM = Stream(2000, 10)  # 100,000 events/s: who keeps up takes no longer than direct
UNPACED_STREAM = Stream(2000)
EVENTS = Stream(500, 1000)  # each comes alone, as from a model; closer together some would be joined


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    asks: int  # requests per turn
    slow_asks: int
    streams: int  # long streams per turn
    load_rounds: int
    load_seconds: int
    starts: int
    status_turns: int
    loads: int  # of LiteLLM, each in a gateway of its own


FULL = Plan(
    rounds=21, asks=100, slow_asks=8, streams=4, load_rounds=5, load_seconds=3, starts=5, status_turns=20, loads=3
)
QUICK = Plan(
    rounds=5, asks=50, slow_asks=4, streams=3, load_rounds=2, load_seconds=1, starts=3, status_turns=8, loads=1
)


@dataclass(frozen=True)
class Times:
    """One target's times in milliseconds."""

    samples: int
    median: float
    p95: float
    added: float  # to direct, median over the rounds
    added_low: float  # the quartiles of the rounds
    added_high: float
    ratio: float  # to direct, median over the rounds
    rounds: list[float]  # the median of each


@dataclass(frozen=True)
class UnderLoad:
    """One target under many connections: medians over the rounds."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float  # per request, all its processes
    requests: int
    errors: int
    rounds: list[float]


@dataclass(frozen=True)
class Starts:
    """Seconds from the start to the first 200."""

    median: float
    all: list[float]


@dataclass(frozen=True)
class Status:
    """Milliseconds of `claude-gatewayctl status` and of a Python that does nothing."""

    status: float
    bare: float
    over: float  # median over the turns


@dataclass(frozen=True)
class Loading:
    """The relay at many connections, alone and while LiteLLM is loaded beside it."""

    alone: load.Load
    beside: load.Load

    @property
    def ratio(self) -> float:
        """How many times as long the slowest hundredth takes."""
        return self.beside.p99_ms / self.alone.p99_ms


@dataclass
class Results:
    """All that was measured, by target's name."""

    latency_2k: dict[str, Times] = field(default_factory=dict)
    latency_128k: dict[str, Times] = field(default_factory=dict)
    first_event: dict[str, Times] = field(default_factory=dict)
    stream: dict[str, Times] = field(default_factory=dict)
    unpaced_stream: dict[str, Times] = field(default_factory=dict)
    event_cpu_us: dict[str, float] = field(default_factory=dict)
    load: dict[str, UnderLoad] = field(default_factory=dict)
    starts: dict[str, Starts] = field(default_factory=dict)
    memory: dict[str, list[processes.Memory]] = field(default_factory=dict)
    status: Status | None = None
    loading: list[Loading] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)  # what was not measured, and why
    wrong: dict[str, list[str]] = field(default_factory=dict)


def say(text: str) -> None:
    """Tell the person what is under way."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def measure(recipes: Sequence[Recipe], upstream: Target, plan: Plan, scratch: Path, results: Results) -> None:
    """Measure everything that can be measured and put it into *results*."""
    say(f"starts, {plan.starts} times in turn")
    starts = _starts([recipe for recipe in recipes if not recipe.slow], plan.starts, scratch, results.missing)
    with ExitStack() as stack:
        running = [upstream]
        for recipe in recipes:
            if recipe.name in results.missing:
                continue
            say(f"start {recipe.name} ({recipe.version})")
            try:
                target = stack.enter_context(targets.started(recipe, scratch))
            except Unavailable as error:
                results.missing[recipe.name] = str(error)
                continue
            running.append(target)
            starts.setdefault(recipe.name, [target.first_answer])
        results.starts = {name: Starts(statistics.median(times), times) for name, times in starts.items()}
        for target in running:
            _warm_up(target)

        say("added latency, 2 KiB")
        results.latency_2k = _answers(running, plan, client.body(2))
        say("added latency, 128 KiB")
        results.latency_128k = _answers(running, plan, client.body(128))
        say("time to the first event")
        results.first_event = _streams(running, plan, plan.slow_asks, SLOW_STREAM, _first_event)
        say(f"streams of {FAST_STREAM.deltas} events")
        results.stream = _streams(running, plan, plan.streams, FAST_STREAM, _total)
        results.unpaced_stream = _streams(running, plan, plan.streams, UNPACED_STREAM, _total)
        say("CPU per event of a stream")
        results.event_cpu_us = cpu_per_event(running, plan.load_rounds)
        say(f"{CONNECTIONS} connections, with {load.generator()}")
        results.load = _load(running, plan, scratch)
        for target in running:
            found = [processes.memory(pid) for pid in processes.family(target.process.pid)]
            results.memory[target.name] = [one for one in found if one is not None]
            if target.name == targets.GATEWAY:
                say("status")
                _status(target, plan.status_turns, results)
        if targets.LITELLM in results.memory:
            for _ in range(plan.loads):
                _with_litellm(upstream, plan, scratch, results)
        for target in running:
            if target.wrong:
                results.wrong[target.name] = target.wrong


def _rotated(items: Sequence[Target], rounds: int) -> Iterator[tuple[int, Target]]:
    """Yield every target in every round, each round beginning with the next one."""
    for number in range(rounds):
        first = number % len(items)
        for item in [*items[first:], *items[:first]]:
            yield number, item


def _starts(recipes: Sequence[Recipe], count: int, scratch: Path, missing: dict[str, str]) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {}
    for _ in range(count):
        for recipe in recipes:
            if recipe.name in missing:
                continue
            try:
                with targets.started(recipe, scratch) as target:
                    times.setdefault(recipe.name, []).append(target.first_answer)
            except Unavailable as error:
                missing[recipe.name] = str(error)
                times.pop(recipe.name, None)
    return times


def _warm_up(target: Target) -> None:
    """Let lazy parts load and caches fill, for plain answers and for streams."""
    plain, streamed = target.request(client.body(2)), target.request(client.body(2, deltas=60))
    asks = 5 if target.recipe.slow else 200
    turn_of(target, asks, partial(client.Connection.ask, message=plain))
    turn_of(target, asks // 5, partial(client.Connection.ask_stream, message=streamed, deltas=60))


def turn_of(target: Target, asks: int, ask: Callable[[client.Connection], client.Answer]) -> list[client.Answer]:
    """Give one target its turn on a new connection; wrong answers are noted and not counted."""
    answers: list[client.Answer] = []
    wrong = 0
    connection = None
    gc.disable()
    try:
        while len(answers) < WARM_UP + asks and wrong < LIMIT_OF_WRONG:
            try:
                connection = connection or client.Connection(target.port)
                answers.append(ask(connection))
            except (OSError, client.WrongAnswer) as error:
                wrong += 1
                target.wrong.append(str(error))
                if connection:
                    connection.close()
                connection = None
    finally:
        gc.enable()
        if connection:
            connection.close()
    return answers[WARM_UP:]


def _answers(running: Sequence[Target], plan: Plan, content: bytes) -> dict[str, Times]:
    samples: dict[str, list[list[float]]] = {target.name: [] for target in running}
    messages = {target.name: target.request(content) for target in running}
    for _, target in _rotated(running, plan.rounds):
        message = messages[target.name]
        asks = plan.slow_asks if target.recipe.slow else plan.asks
        answers = turn_of(target, asks, partial(client.Connection.ask, message=message))
        samples[target.name].append([answer.total for answer in answers])
    return summary(samples)


def _streams(
    running: Sequence[Target], plan: Plan, asks: int, shape: Stream, pick: Callable[[client.Answer], float]
) -> dict[str, Times]:
    samples: dict[str, list[list[float]]] = {target.name: [] for target in running}
    content = client.body(2, deltas=shape.deltas, gap_us=shape.gap_us)
    messages = {target.name: target.request(content) for target in running}
    for _, target in _rotated(running, plan.rounds):
        ask = partial(client.Connection.ask_stream, message=messages[target.name], deltas=shape.deltas)
        answers = turn_of(target, asks, ask)
        samples[target.name].append([pick(answer) for answer in answers])
    return summary(samples)


def cpu_per_event(running: Sequence[Target], rounds: int) -> dict[str, float]:
    """Return the microseconds of CPU that each target takes for an event: the median of its turns."""
    content = client.body(2, deltas=EVENTS.deltas, gap_us=EVENTS.gap_us)
    messages = {target.name: target.request(content) for target in running}
    found: dict[str, list[float]] = {target.name: [] for target in running}
    for _, target in _rotated(running, rounds):
        ask = partial(client.Connection.ask_stream, message=messages[target.name], deltas=EVENTS.deltas)
        clock = processes.CpuClock(processes.family(target.process.pid))
        streams = WARM_UP + len(turn_of(target, 1, ask))
        if streams > WARM_UP:
            found[target.name].append(1e6 * clock.elapsed() / (streams * EVENTS.deltas))
    return {name: statistics.median(each) for name, each in found.items() if each}


def _first_event(answer: client.Answer) -> float:
    assert answer.first_event is not None
    return answer.first_event


def _total(answer: client.Answer) -> float:
    return answer.total


def summary(samples: Mapping[str, list[list[float]]]) -> dict[str, Times]:
    """Boil seconds per target, round and request down to milliseconds."""
    base = [_median(row) for row in samples[targets.DIRECT]]
    found = {}
    for name, rows in samples.items():
        every = sorted(1e3 * seconds for row in rows for seconds in row)
        rounds = [_median(row) for row in rows]
        pairs = [(1e3 * own, 1e3 * other) for own, other in zip(rounds, base, strict=True) if own and other]
        if not pairs:  # no right answer
            continue
        added = [own - other for own, other in pairs]
        low, _, high = statistics.quantiles(added, n=4) if len(added) > 1 else added * 3
        found[name] = Times(
            samples=len(every),
            median=statistics.median(every),
            p95=every[math.ceil(0.95 * len(every)) - 1],
            added=statistics.median(added),
            added_low=low,
            added_high=high,
            ratio=statistics.median(own / other for own, other in pairs),
            rounds=[own for own, _ in pairs],
        )
    return found


def _median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else 0.0


def _load(running: Sequence[Target], plan: Plan, scratch: Path) -> dict[str, UnderLoad]:
    rows: dict[str, list[tuple[load.Load, float]]] = {target.name: [] for target in running}
    content = client.body(2)
    for _, target in _rotated(running, plan.load_rounds):
        clock = processes.CpuClock(processes.family(target.process.pid))
        try:
            done = load.run(target.port, content, target.recipe.headers, CONNECTIONS, plan.load_seconds, scratch)
        except (OSError, subprocess.TimeoutExpired) as error:
            target.wrong.append(str(error))
            continue
        time.sleep(0.3)  # what was put off, as a write to the ledger, belongs to its requests
        if done.errors:
            target.wrong.append(f"{done.errors} wrong answers of {done.requests} under load")
        if done.requests:
            rows[target.name].append((done, clock.elapsed()))
    return {
        name: UnderLoad(
            requests_per_second=statistics.median(done.requests / done.seconds for done, _ in row),
            p50_ms=statistics.median(done.p50_ms for done, _ in row),
            p99_ms=statistics.median(done.p99_ms for done, _ in row),
            cpu_us=statistics.median(1e6 * cpu / done.requests for done, cpu in row),
            requests=sum(done.requests for done, _ in row),
            errors=sum(done.errors for done, _ in row),
            rounds=[done.requests / done.seconds for done, _ in row],
        )
        for name, row in rows.items()
        if row
    }


def _with_litellm(upstream: Target, plan: Plan, scratch: Path, results: Results) -> None:
    """Load LiteLLM in a gateway, beside its relay and under load; then see what the worker holds."""
    say("a gateway that loads LiteLLM")
    recipe, content = targets.gateway(upstream.port, through="litellm"), client.body(2)

    def relayed(seconds: int) -> load.Load:
        return load.run(target.port, content, recipe.headers, CONNECTIONS, seconds, scratch)

    try:
        with targets.started(recipe, scratch) as target, ThreadPoolExecutor(1) as beside:
            relayed(plan.load_seconds)
            alone = relayed(plan.load_seconds)
            loaded = beside.submit(targets.wait_for_litellm, target)
            results.loading.append(Loading(alone, relayed(LOADING_SECONDS)))
            loaded.result()
            relayed(plan.load_seconds)
            found = [processes.memory(pid) for pid in processes.family(target.process.pid)]
            results.memory[targets.WITH_LITELLM] = [one for one in found if one is not None]
    except (Unavailable, OSError, subprocess.TimeoutExpired, client.WrongAnswer) as error:
        results.missing[targets.WITH_LITELLM] = str(error)


def _status(target: Target, turns: int, results: Results) -> None:
    """Time `claude-gatewayctl status` against a Python that does nothing, in turn."""
    program = Path(sys.prefix) / "bin" / "claude-gatewayctl"
    if not program.exists():
        results.missing["status"] = f"{program} is missing"
        return
    status, bare = [], []
    for turn in range(turns + 1):
        own, code = _run_time([str(program), "status"], target)
        other, _ = _run_time([sys.executable, "-c", "pass"], target)
        if code:
            results.missing["status"] = f"`claude-gatewayctl status` ended with {code}"
            return
        if turn:  # the first one only fills the caches
            status.append(own)
            bare.append(other)
    over = statistics.median(own - other for own, other in zip(status, bare, strict=True))
    results.status = Status(statistics.median(status), statistics.median(bare), over)


def _run_time(argv: list[str], target: Target) -> tuple[float, int]:
    start = time.perf_counter()
    done = subprocess.run(
        argv, env=target.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False
    )
    return 1e3 * (time.perf_counter() - start), done.returncode
