"""Imports go downwards only; and what must start fast, or stay small, loads little."""

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
PACKAGE = SRC / "claude_gatewayd"

# From below to above, a line a floor: a room knows those on floors below it, and itself. A new room gets a place here.
FLOORS = """
    printable
    model
    errors
    paths memory ports installation rewrite clock_time process_exit small_file
    logfile
    config_values wire bounded_yaml envelope auth log
    config_file service config_edit
    config control channel
    claude_code
    served
    http1
    coding context_length egress
    reach
    forwarding_loops policy circuit body sse guard tally catalog proven
    bedrock_features structured_output
    answer_sinks bedrock bedrock_errors kept_answer moving
    bedrock_stream relay
    credentials call retelling
    engine tickets spending notices message_threads
    doctor
    setup
    bedrock_lane engine_lane
    anthropic_lane
    gateway
    assembly
    worker supervisor ctl
"""
LEVEL = {room: level for level, floor in enumerate(FLOORS.strip().splitlines()) for room in floor.split()}

NOT_FOR_SUPERVISOR_OR_CTL = {
    "anthropic_lane",
    "assembly",
    "bedrock_lane",
    "body",
    "call",
    "context_length",
    "credentials",
    "engine",
    "engine_lane",
    "forwarding_loops",
    "gateway",
    "guard",
    "http1",
    "answer_sinks",
    "kept_answer",
    "notices",
    "relay",
    "sse",
    "worker",
}  # uvloop, httptools, msgspec


def room(module: str) -> str:
    """Return the room of a module: the part behind the package's name."""
    return module.partition(".")[2].partition(".")[0]


def imports() -> Iterator[tuple[str, str]]:
    """Yield (who, whom) for each import of a room of ours, wherever in a file it stands."""
    for file in PACKAGE.rglob("*.py"):
        who = room(".".join(file.relative_to(SRC).with_suffix("").parts))
        for node in ast.walk(ast.parse(file.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{file}: imports are absolute"
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from ((who, room(name)) for name in names if name.startswith("claude_gatewayd."))


def test_imports_go_downwards() -> None:
    pairs = sorted({pair for pair in imports() if pair[0] != pair[1] and pair[0] != "__init__"})
    assert pairs
    assert {name for pair in pairs for name in pair} - LEVEL.keys() == set(), "a room without a place"
    upwards = [f"{who} imports {whom}" for who, whom in pairs if LEVEL[who] <= LEVEL[whom]]
    assert upwards == []
    heavy = [
        f"{who} imports {whom}"
        for who, whom in pairs
        if who in ("supervisor", "ctl")
        and whom in NOT_FOR_SUPERVISOR_OR_CTL - ({"credentials"} if who == "ctl" else set())
    ]
    assert heavy == []


def loaded_by(module: str) -> set[str]:
    """Return what an import loads beyond what a bare Python has."""
    code = (
        f"import sys; bare = set(sys.modules); sys.path.insert(0, {str(SRC)!r}); import {module};"
        "import json; print(json.dumps(sorted(set(sys.modules) - bare)))"
    )
    run = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    names: list[str] = json.loads(run.stdout)
    return set(names)


def foreign(modules: set[str]) -> set[str]:
    """Return the packages among them that are neither the standard library's nor ours."""
    return {name.partition(".")[0] for name in modules} - sys.stdlib_module_names - {"claude_gatewayd"}


@pytest.mark.parametrize(
    "module", ["supervisor.main", "supervisor.generations", "service.notify", "service.activation"]
)
def test_the_supervisor_is_small(module: str) -> None:
    loaded = loaded_by(f"claude_gatewayd.{module}")
    assert foreign(loaded) <= {"sdnotify"}
    assert not {room(name) for name in loaded} & {*NOT_FOR_SUPERVISOR_OR_CTL, "ctl"}


def test_every_verb_has_its_function() -> None:
    from claude_gatewayd.ctl.main import VERBS, function_of

    for name, module, summary in (verb for verbs in VERBS.values() for verb in verbs):
        function = getattr(importlib.import_module(f"claude_gatewayd.ctl.{module}"), function_of(name))
        assert callable(function)
        assert summary.endswith(".")


@pytest.mark.parametrize(
    ("module", "its_own"),
    [
        ("main", set()),
        ("statusline", {"ctl.statusline", "clock_time"}),
        ("daemon", {"ctl.daemon", "ctl.text", "clock_time"}),
    ],
)
def test_the_ctl_starts_fast(module: str, its_own: set[str]) -> None:
    loaded = loaded_by(f"claude_gatewayd.ctl.{module}")
    slow = {"asyncio", "ssl", "hashlib", "logging", "http", "importlib.metadata", "tomllib", "subprocess", "email",
            "concurrent", "multiprocessing", "threading", "tempfile", "shutil", "datetime", "decimal", "dataclasses",
            "inspect"}  # fmt: skip
    assert foreign(loaded) == set()
    assert {name for name in loaded if name.startswith("claude_gatewayd.")} <= {
        f"claude_gatewayd.{name}"
        for name in {"ctl", "ctl.main", "ctl.answer", "ctl.client", "ctl.paint", "errors", "paths", "printable", "wire"}
        | its_own
    }
    assert not loaded & slow


def test_the_rooms_that_decide_are_plain() -> None:
    """Pure rooms know no loop and no socket."""
    for name in (
        "policy",
        "circuit",
        "served",
        "sse",
        "coding",
        "bedrock",
        "bedrock_errors",
        "wire",
        "errors",
        "model",
    ):
        loaded = loaded_by(f"claude_gatewayd.{name}")
        assert foreign(loaded) == set()
        assert not loaded & {"asyncio", "ssl"}
        assert "logging" not in loaded or name == "circuit"


def test_the_daemon_opens_no_browser() -> None:
    """Nor does it ask anybody for anything: only a person's own command does."""
    for file in PACKAGE.rglob("*.py"):
        if file.is_relative_to(PACKAGE / "ctl") or file.name in ("login.py", "callback.py"):
            continue
        names = {
            f"{getattr(node, 'module', '')}.{alias.name}"
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert not {name for name in names if "webbrowser" in name or "credentials.login" in name}, file


def test_only_the_engine_knows_litellm() -> None:
    for file in PACKAGE.rglob("*.py"):
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
        assert not knows or file.parent.name == "engine", file


@pytest.mark.parametrize("module", ["worker", "assembly", "engine"])
def test_litellm_and_boto3_are_loaded_when_they_are_needed(module: str) -> None:
    """And not before the worker serves Anthropic's lane."""
    assert not foreign(loaded_by(f"claude_gatewayd.{module}")) & {"litellm", "boto3", "botocore", "yaml", "brotli"}
