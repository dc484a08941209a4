"""What is measured of a daemon at rest, and whether that is where it was. Pure, but for reading."""

import json
import re
import signal
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import processes
from tests.support.daemon import Daemon, wait_until

# The tables that callers fill, which the report always has; of all others those that have grown.
WATCHED: Final = (
    "tasks",
    "instances of http1.server.connection.ServerConnection",
    "instances of http1.upstream.connection.UpstreamConnection",
    "worker.gateway.lanes.circuit.Circuits._circuits",
    "worker.gateway.known_credentials.KnownCredentials._known",
    "worker.gateway.authorization.Authorization._refusals",
    "worker.gateway.tickets.Tickets._calls",
    "worker.serving.ServingTracker._elsewhere",
    "worker.tally.Tally._statuses",
    "worker.notices.notifier.Notices._active",
    "worker.ledger.ledger.Ledger._rows",
    "worker.usage.totals.UsageTotals._fresh",
    "worker.usage.totals.UsageTotals._own",
    "worker.usage.totals.UsageTotals._others",
    "worker.usage.ledger_view.LedgerView._written",
    "worker.ledger.spill.Spill._adopted",
    "worker.gateway.recording.recorder.UsageRecorder._ended",
    "worker.dashboard.feed.Feed._new",
    "worker.dashboard.feed.Feed._last",
    "worker.metrics.counts.RequestCounts.by_key",
    "worker.metrics.counts.RequestCounts._found",
    "worker.metrics.model_labels.ModelLabels._remembered",
    "worker.models.catalog.ModelCatalog._found",
    "worker.models.access.ModelAccess._seen",
    "worker.bedrock.learned.LearnedRefusals._refused",
    "ledger.prices.prices.Prices._found",
    "worker.gateway.recording.outside._text(), at most 1024",
    "worker.gateway.recording.outside._client(), at most 256",
)
_BOUND: Final = re.compile(r", at most (\d+)$")
_ESTABLISHED: Final = "01"
# Pieces of a peak between those in use; the rest is given back when the worker comes to rest. Where a busy machine lets
# hundreds of requests wait in a worker at once, there are more of them.
_MB_MORE: Final = 15.0
_MB_MORE_IF_BUSY: Final = 30.0
_MORE: Final = 8  # of what comes with time, and not with requests
_MORE_OF_CALLERS: Final = 64  # entries: each of the soak's callers may have a circuit for each of its models


@dataclass(frozen=True, slots=True)
class Process:
    """One process: memory in MB of a million bytes, and the entries of its tables."""

    pid: int
    rss: float
    pss: float
    descriptors: int
    threads: int
    tables: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Figures:
    """A daemon at rest: *series* are the lines of its metrics, *status* the bytes of its status."""

    supervisor: Process
    worker: Process
    series: int
    status: int


class Row(tuple[str, str, str, str, bool]):
    """A line of the report: what, before, after, the most that it may be, and whether it is that."""

    __slots__ = ()


def process(daemon: Daemon, pid: int) -> Process:
    """Measure one process of a daemon that was started with soak/inside."""
    file = daemon.home / f"tables-{pid}.json"
    file.unlink(missing_ok=True)
    (daemon.signal if pid == daemon.pid else lambda number: daemon.kill(pid, number))(signal.SIGUSR2)
    wait_until(file.exists, 20, daemon.describe)
    held = processes.memory(pid)
    assert held is not None
    descriptors, threads = (len(list(Path(f"/proc/{pid}/{what}").iterdir())) for what in ("fd", "task"))
    return Process(pid, held.rss, held.pss, descriptors, threads, json.loads(file.read_text()))


def connections_to(ports: Collection[int]) -> int:
    """Return how many connections there are to ports of this machine."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[3] == _ESTABLISHED and int(row[2].partition(":")[2], 16) in ports for row in rows)


def compare(name: str, before: Process, after: Process, *, has_callers: bool, is_busy: bool = False) -> list[Row]:
    """Compare two looks at a process, or at a worker and one that came after it."""
    more = _MORE_OF_CALLERS if has_callers else _MORE
    mb_more = _MB_MORE_IF_BUSY if is_busy else _MB_MORE
    rows = [
        _row(f"{name}: memory, RSS in MB", before.rss, after.rss, mb_more),
        _row(f"{name}: memory, PSS in MB", before.pss, after.pss, mb_more),
        _row(f"{name}: descriptors", before.descriptors, after.descriptors, 2),
        _row(f"{name}: threads", before.threads, after.threads, _MORE),  # a pool's: they are there when work came
    ]
    for table in sorted({*before.tables, *after.tables}):
        was, now = before.tables.get(table, 0), after.tables.get(table, 0)
        bound = _BOUND.search(table)  # of a cache: it may fill
        row = _row(f"{name}: {table}", was, now, int(bound[1]) - was if bound else _MORE if table == "tasks" else more)
        if not row[4] or table in WATCHED:
            rows.append(row)
    return rows


def unknown(after: Process) -> list[str]:
    """Return which of `WATCHED` there are none of: tables that have another name now."""
    return [name for name in WATCHED if name not in after.tables and not name.startswith("instances of ")]


def _row(what: str, before: float, after: float, more: float) -> Row:
    limit = before + more
    shown = (f"{value:.1f}" if isinstance(value, float) else str(value) for value in (before, after, limit))
    return Row((what, *shown, after <= limit))


def table(rows: Sequence[Row]) -> str:
    """Return rows as text, as in docs/benchmarks.md."""
    head = ("", "before", "after", "at most", "")
    lines = [head, *((*row[:4], "" if row[4] else "MORE") for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
                     for line in lines)  # fmt: skip
