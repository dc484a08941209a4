"""The document of a window: what was read of its steps, added up by what a page shows. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple

from claude_gatewayd.dashboard.history.frame import Frame, Step
from claude_gatewayd.dashboard.history.past import DayUse
from claude_gatewayd.ledger.reports import fields
from claude_gatewayd.ledger.reports.estimate import DayCost, estimate
from claude_gatewayd.ledger.reports.local_time import day_of, local, zone_name
from claude_gatewayd.ledger.reports.query import percentiles
from claude_gatewayd.ledger.reports.results import FallbackSums, Numbers, UpstreamLatency, UsageRow, UsageSums
from claude_gatewayd.ledger.reports.slices import Bins

_COLOURS: Final = 7
_MOST_ROWS: Final = 100  # of the models, and of the projects
_OTHER: Final = "other"
_ZERO: Final[Numbers] = (0,) * 9 + (0.0,) * 5
_BY: Final = ("model", "project", "upstream")


class WindowUse(NamedTuple):
    """What was read: by the numbers of the steps, and the *days* of the month's estimate by theirs.

    *first_at*: since when there is anything. *gateway* is whose it is, None for everybody's.
    """

    steps: Mapping[int, DayUse]
    days: Mapping[int, DayUse]
    times: Mapping[int, Bins]
    first_at: float | None
    gateway: str | None


NOTHING: Final = WindowUse({}, {}, {}, None, None)


def document(frame: Frame, found: WindowUse) -> dict[str, Any]:
    """Return what the page is sent, but for the state."""
    steps = frame.steps()
    use = [found.steps.get(step.number, DayUse()) for step in steps]
    sums = [_sum(cell.numbers for cell in one.cells) for one in use]
    rows = {by: _rows(use, by) for by in _BY}
    return {
        "now": frame.now,
        "zone": zone_name(frame.now, frame.zone),
        "days": frame.days,
        "since": steps[0].begin,
        "until": float(frame.until),
        "first_at": found.first_at,
        "gateway": found.gateway or "",
        "step": "hour" if frame.is_by_hour else "day",
        "total": fields.sums(_sums(_sum(sums))),
        "steps": [_step(step, of) for step, of in zip(steps, sums, strict=True)],
        "models": [fields.row(row) for row in rows["model"][:_MOST_ROWS]],
        "projects": [fields.row(row) for row in rows["project"][:_MOST_ROWS]],
        "upstreams": [fields.row(row) for row in rows["upstream"]],
        "more_models": max(0, len(rows["model"]) - _MOST_ROWS),
        "more_projects": max(0, len(rows["project"]) - _MOST_ROWS),
        "stacks": {by: _stack(use, by, [row.key for row in rows[by]]) for by in _BY},
        "fallbacks": _fallbacks(use),
        "latencies": [fields.latency(one) for one in _latencies([found.times.get(step.number, {}) for step in steps])],
        "latency_steps": _latency_steps(steps, found.times),
        "month": fields.month(_month(frame, found)),
        "unpriced_models": sorted({cell.model for one in use for cell in one.cells if cell.numbers[3]}),
    }  # fmt: skip


def _sum(numbers: Iterable[Numbers]) -> Numbers:
    return tuple(map(sum, zip(*numbers, strict=True))) or _ZERO


def _sums(numbers: Numbers) -> UsageSums:
    return UsageSums(*numbers)  # type: ignore[arg-type]  # counts stay whole


def _step(step: Step, numbers: Numbers) -> dict[str, Any]:
    return {"key": step.key, "begin": step.begin, "end": step.end} | fields.sums(_sums(numbers))


def _rows(use: Sequence[DayUse], by: str) -> list[UsageRow]:
    """Return the sums of each model, project or upstream, what has cost most first."""
    name = attrgetter(by)
    numbers: dict[str, list[Numbers]] = defaultdict(list)
    for one in use:
        for cell in one.cells:
            numbers[name(cell)].append(cell.numbers)
    return sorted((UsageRow(key, _sums(_sum(of))) for key, of in numbers.items()), key=UsageRow.rank)


def _stack(use: Sequence[DayUse], by: str, ranked: Sequence[str]) -> dict[str, Any]:
    """Return what each key has of each step; what is beyond the colours is one."""
    is_whole = len(ranked) <= _COLOURS
    apart = list(ranked if is_whole else ranked[: _COLOURS - 1])
    keys = apart if is_whole else [*apart, _OTHER]
    name, place = attrgetter(by), {key: number for number, key in enumerate(apart)}
    costs = [[0.0] * len(keys) for _ in use]
    tokens = [[0] * len(keys) for _ in use]
    for one, cost, token in zip(use, costs, tokens, strict=True):
        for cell in one.cells:
            number = place.get(name(cell), len(apart))
            cost[number] += cell.cost
            token[number] += cell.tokens
    return {"keys": keys, "cost": costs, "tokens": tokens}


def _fallbacks(use: Sequence[DayUse]) -> dict[str, Any]:
    times = sorted((one for of in use for one in of.fallbacks), key=attrgetter("begin", "reason"))
    requests: Counter[str] = Counter()
    costs: dict[str, float] = defaultdict(float)
    for one in times:
        requests[one.reason] += one.requests
        costs[one.reason] += one.cost
    reasons = [FallbackSums(reason, count, costs[reason]) for reason, count in requests.items()]
    return {
        "reasons": [fields.fallback(one) for one in sorted(reasons, key=FallbackSums.rank)],
        "line": [one._asdict() for one in times],
    }


def _latencies(times: Iterable[Bins]) -> list[UpstreamLatency]:
    whole: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
    for of in times:
        for key, counts in of.items():
            whole[key].update(counts)
    return [
        UpstreamLatency(
            upstream, *(percentiles(whole.get((upstream, name), {})) for name in ("first_event", "duration"))
        )
        for upstream in sorted({upstream for upstream, _ in whole})
    ]


def _latency_steps(steps: Sequence[Step], times: Mapping[int, Bins]) -> dict[str, list[list[float]]]:
    """Return the percentiles of the time to the first event, of each upstream and step that has any."""
    found: dict[str, list[list[float]]] = defaultdict(list)
    for step in steps:
        for (upstream, measure), counts in times.get(step.number, {}).items():
            if measure == "first_event" and (of := percentiles(counts)) is not None:
                found[upstream].append([step.begin, of.p50, of.p90, of.p99])
    return dict(found)


def _month(frame: Frame, found: WindowUse) -> Any:
    sums = {day_of(number): _sums(_sum(cell.numbers for cell in use.cells)) for number, use in found.days.items()}
    costs = {day: DayCost(of.billed, of.subscription) for day, of in sums.items()}
    first = None if found.first_at is None else local(found.first_at, frame.zone).date()
    return estimate(costs, first, frame.today, frame.zone)
