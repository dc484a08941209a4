"""Tables for a terminal: nothing is lost in them, and a command stays in one piece."""

import ast
from pathlib import Path

import pytest

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
    """And that module is imported within functions alone: by then the answer is there."""
    ctl = Path(tables.__file__).parent
    for file in ctl.parent.rglob("*.py"):
        text = file.read_text()
        assert "import rich" not in text
        assert "from rich" not in text or file == Path(tables.__file__)
        top = [node for node in ast.parse(text).body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert "tables" not in {alias.name for node in top for alias in node.names}, file
