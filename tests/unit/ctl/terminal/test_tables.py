"""Tables for a terminal: nothing is lost in them, and a command stays in one piece."""

import subprocess
import sys
from pathlib import Path

import pytest

import claude_gatewayd
from claude_gatewayd.ctl.terminal import tables

WHY = "there are no AWS keys in the environment, and no profile: nobody steps in when Anthropic [red]cannot[/red]"
COMMAND = "aws configure sso --profile Sandbox.AdministratorAccess --region eu-central-1"
ROWS: list[list[tables.Cell]] = [
    [[("FAIL", "bold red")], [("Bedrock", "bold")], [("is off", ""), (WHY, "dim"), (COMMAND, tables.COMMAND)]],
    [[("ok", "green")], [("disk", "bold")], [("75 GiB free", ""), ("", "dim"), ("", tables.COMMAND)]],
]


@pytest.mark.parametrize("columns", [20, 60, 200])
def test_words_are_kept_and_commands_in_one_piece(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = tables.drawn(("", "check", "finding"), ROWS).split("\n")
    words = " ".join(" ".join(lines).split())
    assert f"FAIL Bedrock is off {WHY} {COMMAND} ok disk 75 GiB free" in words
    assert [line.strip() for line in lines].count(COMMAND) == 1
    assert all(len(line) <= max(columns, len(COMMAND) + 17) for line in lines)
    assert {line.index(text) for line in lines for text in ("is off", COMMAND, "75 GiB") if text in line} == {15}
    assert lines[-1]


def test_only_what_draws_a_table_loads_rich() -> None:
    """And that is imported within functions alone: by then the answer is there."""
    packages = Path(claude_gatewayd.__file__).parents[1]
    files = [*packages.glob("claude_gatewayd/ctl/*.py"), *packages.glob("claude_gatewayd/ctl/*/verb*.py")]
    assert len(files) > 12
    modules = [".".join(file.relative_to(packages).with_suffix("").parts) for file in files]
    code = f"import sys, {', '.join(modules)}; print('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"
