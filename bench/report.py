"""The tables, and which goals this run reached."""

import json
import os
import platform
import shutil
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench import load, processes, targets
from bench.measure import CONNECTIONS, EVENTS, FAST_STREAM, SLOW_STREAM, UNPACED_STREAM, Results, Stream, Times
from bench.targets import AIOHTTP, DIRECT, GATEWAY, LEDGER_OFF, LIMIT, LITELLM, NGINX, WITH_LITELLM

REACHED, NOT_REACHED, NOT_MEASURED, UNDECIDED = "reached", "NOT reached", "not measured", "undecided"
STEADY = 1.2  # the most by which the quartiles of direct's rounds may differ for a ratio to direct to mean much


@dataclass(frozen=True)
class Goal:
    """What was to be reached, and what this run shows."""

    goal: str
    limit: str
    figure: str
    verdict: str


def circumstances() -> dict[str, str]:
    """Return what the figures depend on besides the targets."""
    model = next((line for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "")
    commit = ""
    if shutil.which("git"):
        argv = ["git", "-C", str(targets.ROOT), "describe", "--always", "--dirty"]
        commit = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "machine": f"{os.cpu_count()} cores, {model.partition(':')[2].strip() or platform.machine()}",
        "system": f"Linux {platform.release()}, Python {platform.python_version()}",
        "load average": " ".join(f"{value:.2f}" for value in os.getloadavg()),
        "commit": commit or "unknown",
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def tables(results: Results) -> str:
    """Return all tables as text."""
    its_rate = results.load[AIOHTTP].requests_per_second if AIOHTTP in results.load else 0.0
    parts = [
        times_table("added latency, one request at a time, 2 KiB (ms)", results.latency_2k),
        times_table("added latency, one request at a time, 128 KiB (ms)", results.latency_128k),
        times_table(
            f"time to the first event of a stream{shape(SLOW_STREAM)} (ms)",
            results.first_event,
        ),
        times_table(f"stream{shape(FAST_STREAM)}, to its end (ms)", results.stream),
        times_table(f"stream{shape(UNPACED_STREAM)}, to its end (ms)", results.unpaced_stream),
        events_table(results.event_cpu_us),
        table(
            f"{CONNECTIONS} connections, 2 KiB (by {load.generator()})",
            ["target", "requests/s", "x aiohttp", "p50 ms", "p99 ms", "CPU µs/request", "errors"],
            [
                [
                    name,
                    f"{row.requests_per_second:,.0f}",
                    _ratio(row.requests_per_second, its_rate),
                    f"{row.p50_ms:.2f}",
                    f"{row.p99_ms:.2f}",
                    f"{row.cpu_us:,.0f}",
                    str(row.errors),
                ]
                for name, row in results.load.items()
            ],
        ),
        table(
            "start to the first answer (s)",
            ["target", "median", "starts", "quickest", "slowest"],
            [
                [name, f"{row.median:.3f}", str(len(row.all)), f"{min(row.all):.3f}", f"{max(row.all):.3f}"]
                for name, row in results.starts.items()
            ],
        ),
        table(
            "memory after the load (MB)",
            ["target", "RSS", "PSS", "process"],
            [
                [name, f"{one.rss:.1f}", f"{one.pss:.1f}", _role(name, number, one)]
                for name, row in results.memory.items()
                for number, one in enumerate(row)
            ],
        ),
    ]
    if results.status:
        row = [f"{results.status.status:.1f}", f"{results.status.bare:.1f}", f"{results.status.over:.1f}"]
        parts.append(table("claude-gatewayctl status (ms)", ["status", "python -c pass", "over it"], [row]))
    if results.loading:
        rows = [
            [
                name,
                f"{row.requests / row.seconds:,.0f}",
                *(f"{ms:.2f}" for ms in (row.p50_ms, row.p99_ms, row.longest_ms)),
            ]
            for loading in results.loading
            for name, row in (("alone", loading.alone), ("while LiteLLM loads", loading.beside))
        ]
        title = f"claude-gatewayd at {CONNECTIONS} connections while it loads LiteLLM"
        parts.append(table(title, ["relay", "requests/s", "p50 ms", "p99 ms", "longest ms"], rows))
    if results.missing:
        parts.append(table("not measured", ["what", "why"], [[*row] for row in results.missing.items()]))
    if results.wrong:
        rows = [[name, str(len(texts)), texts[0][:100]] for name, texts in results.wrong.items()]
        parts.append(table("WRONG ANSWERS", ["target", "times", "the first"], rows))
    return "\n\n".join(parts)


def goals_table(goals: Sequence[Goal]) -> str:
    """Return the goals as text."""
    rows = [[goal.goal, goal.limit, goal.figure, goal.verdict] for goal in goals]
    return table("to reach", ["goal", "limit", "figure", "verdict"], rows)


def save(path: Path, about: dict[str, object], results: Results, goals: Sequence[Goal]) -> None:
    """Write everything as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = about | {"results": asdict(results), "goals": [asdict(goal) for goal in goals]}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def judge(results: Results) -> list[Goal]:
    """Hold the figures against the goals."""
    goals = []
    small, large = results.latency_2k, results.latency_128k
    goals += [
        _against("added latency, 2 KiB", small, results, AIOHTTP, 0.45),
        _against("added latency, 2 KiB", small, results, LIMIT, 2.5),
        _against("added latency, 2 KiB", small, results, LITELLM, 1 / 50),
        _against("added latency, 128 KiB", large, results, AIOHTTP, 0.5),
        _against("added latency, 128 KiB", large, results, LITELLM, 1 / 50),
        _against("time to the first event, added", results.first_event, results, AIOHTTP, 0.6),
        _rate(results, AIOHTTP, 1.8),
        _rate(results, LIMIT, 0.4),
        of_stream(FAST_STREAM, results.stream, 1.1, GATEWAY, results.missing.get(GATEWAY)),
        of_stream(UNPACED_STREAM, results.unpaced_stream, 1.1, GATEWAY, results.missing.get(GATEWAY)),
        _of_events(results),
        at_most(
            "start to the first answer",
            results.starts[GATEWAY].median if GATEWAY in results.starts else None,
            0.25,
            "s",
            results.missing.get(GATEWAY),
        ),
    ]
    goals += _of_ledger(results)
    held = results.memory.get(GATEWAY, [])
    why = results.missing.get(GATEWAY)
    goals += [
        at_most("memory of the supervisor", held[0].rss if held else None, 30, "MB", why),
        at_most("memory of the worker", held[1].rss if len(held) > 1 else None, 40, "MB", why or "no worker found"),
        at_most(
            "`status` over a bare Python start",
            results.status.over if results.status else None,
            25,
            "ms",
            why or results.missing.get("status"),
        ),
    ]
    return [*goals, *_of_litellm(results)]


def _of_litellm(results: Results) -> list[Goal]:
    """Judge what LiteLLM in a worker costs: beside LiteLLM alone, and the relay while it is loaded."""
    why = results.missing.get(WITH_LITELLM) or results.missing.get(LITELLM)
    held, alone = results.memory.get(WITH_LITELLM, []), results.memory.get(LITELLM, [])
    more = held[1].rss - sum(one.rss for one in alone) if len(held) > 1 and alone else None
    loading = results.loading
    return [
        at_most("memory of the worker with LiteLLM, over LiteLLM alone", more, 60, "MB", why),
        at_most(
            "p99 while LiteLLM loads", statistics.median(one.ratio for one in loading) if loading else None, 5, "x", why
        ),
        at_most(
            "longest answer while LiteLLM loads",
            max(one.beside.longest_ms for one in loading) if loading else None,
            50,
            "ms",
            why,
        ),
    ]


def _against(what: str, times: dict[str, Times], results: Results, other: str, factor: float) -> Goal:
    """Judge what the gateway adds by a share of what *other* adds."""
    limit = f"<= 1/{1 / factor:.0f} of {other}'s" if factor < 0.1 else f"<= {factor:g} x {other}'s"
    for name in (GATEWAY, other):
        if name not in times:
            return _unmeasured(what, limit, name, results.missing.get(name))
    own, its = times[GATEWAY].added, times[other].added
    if its <= 0:
        return Goal(what, limit, f"{own:.3f} ms to {its:.3f} ms", f"{NOT_MEASURED}: {other} added nothing measurable")
    share = f"1/{its / own:.0f}" if factor < 0.1 and own > 0 else f"{own / its:.2f} x"
    verdict = REACHED if own <= factor * its else NOT_REACHED
    return Goal(what, limit, f"{share} ({own:.3f} ms to {its:.3f} ms)", verdict)


def _rate(results: Results, other: str, factor: float) -> Goal:
    what, limit = f"requests/s at {CONNECTIONS} connections", f">= {factor:g} x {other}'s"
    for name in (GATEWAY, other):
        if name not in results.load:
            return _unmeasured(what, limit, name, results.missing.get(name))
    own, its = (results.load[name].requests_per_second for name in (GATEWAY, other))
    verdict = REACHED if own >= factor * its else NOT_REACHED
    return Goal(what, limit, f"{own / its:.2f} x ({own:,.0f} to {its:,.0f})", verdict)


def _of_ledger(results: Results) -> list[Goal]:
    """Judge what the ledger costs: the gateway beside itself without one."""
    names = (GATEWAY, LEDGER_OFF)
    whats = ("ledger: an answer of 2 KiB", f"ledger: requests/s at {CONNECTIONS} connections", "ledger: memory")
    limits = ("<= 1.1 x without", ">= 0.9 x without", "<= 10 MB more")
    for name in names:
        if name not in results.latency_2k or name not in results.load or len(results.memory.get(name, [])) < 2:
            why = results.missing.get(name)
            return [_unmeasured(what, limit, name, why) for what, limit in zip(whats, limits, strict=True)]
    own, its = (results.latency_2k[name].median for name in names)
    rate, its_rate = (results.load[name].requests_per_second for name in names)
    more = results.memory[GATEWAY][1].pss - results.memory[LEDGER_OFF][1].pss
    found = (
        (f"{own / its:.2f} x ({own:.3f} ms to {its:.3f} ms)", own <= 1.1 * its),
        (f"{rate / its_rate:.2f} x ({rate:,.0f} to {its_rate:,.0f})", rate >= 0.9 * its_rate),
        (f"{more:.2f} MB", more <= 10),
    )
    return [
        Goal(what, limit, figure, REACHED if is_reached else NOT_REACHED)
        for what, limit, (figure, is_reached) in zip(whats, limits, found, strict=True)
    ]


def of_stream(stream: Stream, times: dict[str, Times], limit: float, name: str, why: str | None = None) -> Goal:
    """Judge a stream by direct's time for it, if that is about the same in every round."""
    own = times.get(name)
    goal = at_most(f"stream{shape(stream)}", own.ratio if own else None, limit, "x direct", why)
    low, _, high = statistics.quantiles(times[DIRECT].rounds, n=4) if DIRECT in times else (1, 1, 1)
    if own is None or high <= STEADY * low:
        return goal
    return replace(goal, verdict=f"{UNDECIDED}: direct's own quartiles are {low:.1f} and {high:.1f} ms")


def _of_events(results: Results) -> Goal:
    """Judge what an event costs by what it costs nginx."""
    what, limit, times = "CPU per event of a stream", 2.25, results.event_cpu_us
    for name in (GATEWAY, NGINX):
        if not times.get(name):
            return _unmeasured(what, f"<= {limit:g} x {NGINX}'s", name, results.missing.get(name))
    return at_most(what, times[GATEWAY] / times[NGINX], limit, f"x {NGINX}'s", None)


def at_most(what: str, figure: float | None, limit: float, unit: str, why: str | None) -> Goal:
    if figure is None:
        return _unmeasured(what, f"<= {limit:g} {unit}", GATEWAY, why)
    return Goal(what, f"<= {limit:g} {unit}", f"{figure:.2f} {unit}", REACHED if figure <= limit else NOT_REACHED)


def _unmeasured(what: str, limit: str, name: str, why: str | None) -> Goal:
    reason = (why or "no right answer").splitlines()[0][:90]
    return Goal(what, limit, "-", f"{NOT_MEASURED}: {name}: {reason}")


def times_table(title: str, times: dict[str, Times]) -> str:
    heads = ["target", "median", "p95", "added", "its quartiles", "x direct"]
    rows = []
    for name, row in times.items():
        added = ["", ""]
        if name != DIRECT:
            added = [f"{row.added:.3f}", f"{row.added_low:.3f} to {row.added_high:.3f}"]
        shares = [_ratio(row.added, times[other].added) for other in (NGINX, LIMIT, AIOHTTP) if other in times]
        if name == DIRECT:
            shares = [""] * len(shares)
        figures = [f"{row.median:.3f}", f"{row.p95:.3f}", *added, f"{row.ratio:.2f}", *shares]
        rows.append([name, *figures, str(row.samples)])
    heads += [f"added x {other}" for other in (NGINX, LIMIT, AIOHTTP) if other in times]
    return table(title, [*heads, "samples"], rows)


def events_table(times: dict[str, float]) -> str:
    """Lay out what an event costs each target."""
    rows = [[name, f"{each:.1f}", _ratio(each, times.get(NGINX, 0.0))] for name, each in times.items()]
    return table(f"CPU per event of a stream{shape(EVENTS)} (µs)", ["target", "CPU µs/event", "x nginx"], rows)


def shape(stream: Stream) -> str:
    gap = f"{stream.gap_us:,} µs apart" if stream.gap_us else "without a pause"
    return f" of {stream.deltas:,} deltas {gap}"


def _ratio(own: float, other: float) -> str:
    return f"{own / other:.2f}" if other > 0 else ""


def _role(name: str, number: int, one: processes.Memory) -> str:
    if name not in (GATEWAY, LEDGER_OFF, WITH_LITELLM):
        return one.command[:60]
    return ("supervisor", "worker")[number] if number < 2 else f"not judged: {one.command[:60]}"


def table(title: str, heads: list[str], rows: list[list[str]]) -> str:
    """Lay out a table that reads well in a terminal and in Markdown."""
    cells = [heads, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    numbers = [
        bool(rows) and all(row[column][:1].isdigit() or row[column][:1] in ("", "-") for row in rows)
        for column in range(len(heads))
    ]
    lines = [
        " | ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, numbers, strict=True)
        )
        for row in cells
    ]
    rule = "|".join("-" * (width + 1) + (":" if number else "-") for width, number in zip(widths, numbers, strict=True))
    return "\n".join([f"## {title}", "", f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])])
