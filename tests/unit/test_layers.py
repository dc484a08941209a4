"""Imports go downwards only; and what must start fast, or stay small, loads little.

`python tests/unit/test_layers.py` prints the floors, as they stand in ARCHITECTURE.md.
"""

import ast
import importlib
import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
PACKAGE = SRC / "claude_gatewayd"

# From above to below: a room may import from those on floors below its own. A new room gets a place here.
FLOORS = (
    ("supervisor", "worker", "ctl", "dashboard"),
    ("service", "aws"),
    ("network", "ledger"),
    ("config", "ipc"),
    ("bedrock",),
    ("anthropic",),
    ("http1", "system"),
    ("paths", "errors", "problem", "printable"),  # words that everybody needs, modules of the root
)
LEVEL = {room: level for level, floor in enumerate(FLOORS) for room in floor}
MOST_AT_THE_ROOT, MOST_IN_A_FOLDER, MOST_LINES = 6, 12, 400

# Neither the supervisor nor the ctl loads what serves requests; the ctl does log in to AWS.
NOT_FOR = {
    "supervisor": {"worker", "ctl", "dashboard", "aws", "http1", "network", "bedrock"},
    "ctl": {"worker", "supervisor", "dashboard"},
    "dashboard": {"worker", "supervisor", "ctl"},
    "worker": {"supervisor", "ctl", "dashboard"},
}

Graph = Mapping[str, set[str]]


@cache
def modules() -> dict[str, Path]:
    """Return the files by the names of their modules, below the package; "" is the package itself."""
    files = sorted(PACKAGE.rglob("*.py"))
    return {".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip("."): file
            for file in files}  # fmt: skip


@cache
def imports() -> Graph:
    """Return who imports whom, wherever in a file it stands: in functions, and for types alone, too."""
    known = modules()
    graph: dict[str, set[str]] = {name: set() for name in known}
    for who, file in known.items():
        for node in ast.walk(ast.parse(file.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{file}: imports are absolute"
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                if name.startswith("claude_gatewayd."):
                    whole = name.removeprefix("claude_gatewayd.")
                    whom = whole if whole in known else whole.rpartition(".")[0]
                    if whom != who:
                        graph[who].add(whom)
    return graph


def within(folder: str) -> dict[str, set[str]]:
    """Return the same for what is directly in a folder: its modules, and its folders as a whole."""
    prefix = f"{folder}." if folder else ""
    graph: dict[str, set[str]] = defaultdict(set)
    for who, whom in imports().items():
        if who.startswith(prefix) and who != folder:
            part = who.removeprefix(prefix).partition(".")[0]
            there = {name.removeprefix(prefix).partition(".")[0] for name in whom if name.startswith(prefix)}
            graph[part] |= there - {part, ""}
    return dict(graph)


def circle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """Return a circle, if there is any."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def folders() -> list[str]:
    """Return the folders of the package, by the names of their modules; "" is the package itself."""
    return [name for name, file in modules().items() if file.name == "__init__.py"]


def floors(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return what is in a folder, floor by floor from above: each as low as what it imports lets it be."""
    level: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        level[name] = max((level[below] + 1 for below in graph.get(name, ())), default=0)
    return [sorted(name for name in level if level[name] == number) for number in sorted(set(level.values()))[::-1]]


def printed() -> str:
    """Return the floors as text: of the package as they are meant, of each divided room as they are."""
    lines = ["claude_gatewayd", *(f"  {'  '.join(floor)}" for floor in FLOORS)]
    for room in sorted(LEVEL):
        if any(folder.startswith(f"{room}.") for folder in folders()):
            lines += ["", room, *(f"  {'  '.join(floor)}" for floor in floors(within(room)))]
    return "\n".join(lines)


def room(module: str) -> str:
    """Return the room of a module: the part behind the package's name."""
    return module.partition(".")[0]


def test_no_import_goes_in_a_circle() -> None:
    assert circle(imports()) == []
    for folder in folders():
        if folder:  # of the root the floors are given
            assert circle(within(folder)) == [], folder


def test_imports_go_downwards() -> None:
    pairs = sorted((who, whom) for who, names in imports().items() for whom in names if who and whom)
    assert len(pairs) > 500
    assert {room(name) for pair in pairs for name in pair} - LEVEL.keys() == set(), "a room without a place"
    ground = len(FLOORS) - 1
    upwards = [
        f"{who} imports {whom}"
        for who, whom in pairs
        if room(who) != room(whom) and LEVEL[room(who)] >= LEVEL[room(whom)] and LEVEL[room(who)] != ground
    ]
    assert upwards == []


def test_rooms_can_be_overlooked() -> None:
    inside: dict[str, int] = defaultdict(int)
    for name, file in modules().items():
        if file.name != "__init__.py":
            inside[name.rpartition(".")[0]] += 1
    assert inside[""] <= MOST_AT_THE_ROOT
    assert {folder: count for folder, count in inside.items() if count > MOST_IN_A_FOLDER} == {}
    lines = {name: len(file.read_text().splitlines()) for name, file in modules().items()}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_no_two_public_types_have_one_name() -> None:
    where: dict[str, list[str]] = defaultdict(list)
    for name, file in modules().items():
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where[node.name].append(name)
    assert {name: places for name, places in where.items() if len(places) > 1} == {}


def test_the_page_has_the_floors() -> None:
    assert f"```\n{printed()}\n```" in (ROOT / "ARCHITECTURE.md").read_text(), "python tests/unit/test_layers.py"


def loaded_by(module: str) -> set[str]:
    """Return what an import loads beyond what a bare Python has."""
    code = (
        f"import sys; bare = set(sys.modules); sys.path.insert(0, {str(SRC)!r}); import {module};"
        "import json; print(json.dumps(sorted(set(sys.modules) - bare)))"
    )
    run = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    names: list[str] = json.loads(run.stdout)
    return set(names)


def ours(loaded: set[str]) -> set[str]:
    """Return the modules of ours among them, below the package."""
    return {name.removeprefix("claude_gatewayd.") for name in loaded if name.startswith("claude_gatewayd.")}


def foreign(loaded: set[str]) -> set[str]:
    """Return the packages among them that are neither the standard library's nor ours."""
    return {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names - {"claude_gatewayd"}


@pytest.mark.parametrize(
    "module",
    ["supervisor.main", "supervisor.running", "supervisor.workers.generations", "service.notify", "service.activation"],
)
def test_the_supervisor_is_small(module: str) -> None:
    loaded = loaded_by(f"claude_gatewayd.{module}")
    assert foreign(loaded) <= {"sdnotify"}
    assert not {room(name) for name in ours(loaded)} & NOT_FOR["supervisor"]


def test_every_verb_has_its_function() -> None:
    from claude_gatewayd.ctl.main import VERBS, function_of

    for name, module, summary in (verb for verbs in VERBS.values() for verb in verbs):
        function = getattr(importlib.import_module(f"claude_gatewayd.ctl.{module}"), function_of(name))
        assert callable(function)
        assert summary.endswith(".")


def test_the_processes_do_without_each_other() -> None:
    for name, whom in imports().items():
        if room(name) in NOT_FOR:
            assert not {room(other) for other in whom} & NOT_FOR[room(name)], name


@pytest.mark.parametrize(
    ("module", "its_own"),
    [
        ("main", set()),
        ("statusline", {"ctl.statusline", "ctl.terminal.spending", "system", "system.clock_time"}),
        (
            "daemon",
            {
                "ctl.daemon",
                "ctl.identity",
                "ctl.terminal.spending",
                "ctl.terminal.text",
                "ipc.proof",
                "system",
                "system.clock_time",
            },
        ),
    ],
)
def test_the_ctl_starts_fast(module: str, its_own: set[str]) -> None:
    loaded = loaded_by(f"claude_gatewayd.ctl.{module}")
    slow = {"asyncio", "ssl", "hashlib", "logging", "http", "importlib.metadata", "tomllib", "subprocess", "email",
            "concurrent", "multiprocessing", "threading", "tempfile", "shutil", "datetime", "decimal", "dataclasses",
            "inspect"}  # fmt: skip
    assert foreign(loaded) == set()
    shared = {"ctl", "ctl.main", "ctl.terminal", "ctl.terminal.output", "ctl.terminal.colour", "ipc", "ipc.client",
              "ipc.wire", "errors", "paths", "printable"}  # fmt: skip
    assert ours(loaded) <= shared | its_own
    assert not loaded & slow


@pytest.mark.parametrize(
    "module",
    [
        "anthropic.errors",
        "anthropic.events",
        "anthropic.headers",
        "anthropic.refusals",
        "bedrock.errors",
        "bedrock.features",
        "bedrock.request",
        "errors",
        "http1.content_coding",
        "ipc.wire",
        "printable",
        "problem",
        "worker.gateway.lanes.circuit",
        "worker.gateway.lanes.policy",
        "worker.serving",
    ],
)
def test_what_decides_is_plain(module: str) -> None:
    """It knows no loop and no socket."""
    loaded = loaded_by(f"claude_gatewayd.{module}")
    assert foreign(loaded) == set()
    assert not loaded & {"asyncio", "ssl"}
    assert "logging" not in loaded or module.endswith("circuit")


def test_the_daemon_opens_no_browser() -> None:
    """Nor does it ask anybody for anything: only a person's own command does."""
    for name, file in modules().items():
        if room(name) == "ctl" or name.startswith("aws.sso."):
            continue
        assert "webbrowser" not in file.read_text(), name
        assert "aws.sso.login" not in imports()[name], name


def test_only_the_engine_knows_litellm() -> None:
    for name, file in modules().items():
        names = {
            name
            for node in ast.walk(ast.parse(file.read_text()))
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        knows = any(name.partition(".")[0] == "litellm" for name in names)
        assert not knows or name.startswith("worker.engine."), name


@pytest.mark.parametrize(
    "module", ["worker.process", "worker.worker", "worker.inputs", "worker.assembly", "worker.engine"]
)
def test_what_is_slow_to_load_is_loaded_when_it_is_needed(module: str) -> None:
    """And not before the worker serves Anthropic's lane."""
    slow = {"litellm", "boto3", "botocore", "yaml", "brotli", "sqlalchemy", "alembic", "psycopg"}
    assert not foreign(loaded_by(f"claude_gatewayd.{module}")) & slow


def test_no_process_of_ours_imports_from_the_directory_that_it_runs_in() -> None:
    """Python would put that first, without -P: what lies there is anybody's."""
    started = re.compile(r'[^(\[\n]*"-m", "claude_gatewayd')
    found = {name: started.findall(path.read_text()) for name, path in modules().items()}
    commands = [(name, command) for name, lines in found.items() for command in lines]
    assert len(commands) > 5
    assert [(name, command) for name, command in commands if '"-P"' not in command] == []


def test_a_worker_never_loads_what_maintains_the_ledger() -> None:
    """SQLAlchemy takes 18 MB: a process of its own has it."""
    reached, left = set[str](), {name for name in modules() if room(name) == "worker"}
    while left:
        reached |= left
        left = {name for one in left for name in imports()[one]} - reached
    knows = {
        name
        for name in reached
        if re.search(r"^\s*(import|from) (sqlalchemy|alembic)\b", modules()[name].read_text(), re.M)
    }
    assert knows == set()


if __name__ == "__main__":
    print(printed())
