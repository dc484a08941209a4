"""Commands in texts for people survive a shell: what stands in them as a name or a path is quoted."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import claude_gatewayd

_SOURCE = Path(claude_gatewayd.__file__).parent
_PROGRAMS = "aws|cat|chmod|chown|claude|claude-gatewayctl|cp|curl|df|iconv|journalctl|kill|ls|mv|rm|sudo|tail"
_COMMAND = re.compile(rf"(^|[:;(&]\s*|\n\s*|\$\{{EDITOR:-vi}} )({_PROGRAMS}|\+) ?[^.,]*$")
_NAMES = re.compile(r"(^|_)(path|file|directory|link|place|parent|profile|client|target|home|program|wheel)$")


def _unquoted(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield each name of a file or a profile that stands in a command as it is, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            before = ""
            for part in node.values:
                if isinstance(part, ast.Constant):
                    before += str(part.value)
                elif isinstance(part, ast.FormattedValue):
                    value = part.value
                    name = value.id if isinstance(value, ast.Name) else getattr(value, "attr", "")
                    if _COMMAND.search(before) and _NAMES.search(name):
                        yield node.lineno, name
                    before += "x"


@pytest.mark.parametrize(
    "file", sorted(map(str, _SOURCE.rglob("*.py"))), ids=lambda file: file[len(str(_SOURCE)) + 1 :]
)
def test_nothing_is_left_for_the_shell_to_read(file: str) -> None:
    assert not [f"{file}:{line}: {name}" for line, name in _unquoted(ast.parse(Path(file).read_text()))]


def test_it_finds_one() -> None:
    assert [name for _, name in _unquoted(ast.parse('f"ls -ld {link.parent} {file}"'))] == ["parent", "file"]
    assert not list(_unquoted(ast.parse('f"ls -ld {quote(str(file))}"; f"the file {file}"')))
