"""What the soak takes for growth, of figures before and after."""

from dataclasses import replace

from soak.figures import WATCHED, Process, compare, unknown

TABLES = dict.fromkeys((name for name in WATCHED if not name.startswith("instances of ")), 20)
BEFORE = Process(11, rss=70.0, pss=60.0, descriptors=18, threads=11, tables={**TABLES, "tasks": 2})


def grown(after: Process, *, has_callers: bool = True) -> list[str]:
    return [row[0] for row in compare("worker", BEFORE, after, has_callers=has_callers) if not row[4]]


def test_the_same_is_no_growth() -> None:
    assert grown(BEFORE) == []
    assert unknown(BEFORE) == []


def test_memory_descriptors_threads_and_tasks() -> None:
    after = replace(BEFORE, rss=90.0, pss=80.0, descriptors=24, threads=31, tables={**BEFORE.tables, "tasks": 30})
    assert grown(after) == [
        "worker: memory, RSS in MB",
        "worker: memory, PSS in MB",
        "worker: descriptors",
        "worker: threads",
        "worker: tasks",
    ]


def test_a_table_that_nobody_thought_of() -> None:
    after = replace(BEFORE, tables={**BEFORE.tables, "worker.new.New._calls": 65})
    assert grown(after) == ["worker: worker.new.New._calls"]
    less = replace(BEFORE, tables={**BEFORE.tables, "worker.new.New._calls": 64})
    assert grown(less) == []
    assert grown(less, has_callers=False) == ["worker: worker.new.New._calls"]


def test_a_cache_may_fill() -> None:
    cache = "worker.gateway.recording.outside._text(), at most 1024"
    assert grown(replace(BEFORE, tables={**BEFORE.tables, cache: 1024})) == []


def test_a_table_with_another_name() -> None:
    tables = {name: entries for name, entries in BEFORE.tables.items() if "Tickets" not in name}
    assert unknown(replace(BEFORE, tables=tables)) == ["worker.gateway.tickets.Tickets._calls"]
