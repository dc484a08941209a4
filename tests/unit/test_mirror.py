"""Tests are where one looks for them: tests/unit mirrors the package, and nothing is taken from another's test."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
UNIT = TESTS / "unit"
PACKAGE = TESTS.parent / "src" / "claude_gatewayd"

# These hold the repository, and no module of it.
OF_THE_REPOSITORY = {
    "test_bedrock_docs.py": "docs/bedrock.md prints what the code goes by",
    "test_commands_to_paste.py": "commands in texts survive a shell",
    "test_install_script.py": "what scripts/install asks of a machine",
    "test_layers.py": "who imports whom, and how large a room is",
    "test_mirror.py": "where tests are",
    "test_page.py": "the files of the dashboard's page",
    "test_pages.py": "the pages name what there is",
    "test_this_machine.py": "what make asks of a machine",
    "test_workflows.py": "the public CI is valid",
}


def modules_of(test: Path) -> Iterator[Path]:
    """Yield the modules that a test may be named after: test_x.py, or test_x_and_what_it_does.py, for x.py."""
    words = test.stem.removeprefix("test_").split("_")
    folder = PACKAGE / test.parent.relative_to(UNIT)
    for count in range(len(words), 0, -1):
        yield folder / f"{'_'.join(words[:count])}.py"


def test_each_test_of_unit_has_its_module() -> None:
    tests = [test for test in UNIT.rglob("test_*.py") if str(test.relative_to(UNIT)) not in OF_THE_REPOSITORY]
    assert len(tests) > 80
    assert [str(test) for test in tests if not any(module.exists() for module in modules_of(test))] == []


def test_what_holds_the_repository_is_there() -> None:
    assert [name for name in OF_THE_REPOSITORY if not (UNIT / name).exists()] == []


def imported(file: Path) -> set[str]:
    """Return the modules of the tests that a file imports."""
    nodes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
    return {node.module for node in nodes if node.module and node.module.startswith("tests.")}


@pytest.mark.parametrize("place", ["unit", "scenarios", "support", "fakes"])
def test_helpers_are_in_support_and_fakes(place: str) -> None:
    """A test file is no library, and a room's own helpers serve that room: what two need is in support or fakes."""
    found = []
    for file in (TESTS / place).rglob("*.py"):
        room = "tests." + ".".join(file.parent.relative_to(TESTS).parts[:2])
        for module in imported(file):
            is_shared = f"{module}.".startswith(("tests.support.", "tests.fakes."))
            is_a_test = module.rpartition(".")[2].startswith("test_")
            if is_a_test or not (is_shared or f"{module}.".startswith(f"{room}.")):
                found.append(f"{file.relative_to(TESTS)}: {module}")
    assert found == []
