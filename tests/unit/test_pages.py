"""The pages for the next engineer name what there is."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "claude_gatewayd"
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()


def test_each_file_that_architecture_names_exists() -> None:
    """A file is named from the package on, or by its name alone in a paragraph about its folder."""
    names = {path.name for path in PACKAGE.rglob("*.py")}
    named = re.findall(r"`([a-z0-9_/]+(?:\.py|/))`", ARCHITECTURE)
    assert len(named) > 40
    missing = [
        name
        for name in named
        if not (PACKAGE / name).exists()
        and not any(path.is_dir() and path.as_posix().endswith(f"/{name.rstrip('/')}") for path in PACKAGE.rglob("*"))
        and not ("/" not in name and name in names)
        and not any(path.as_posix().endswith(f"/{name}") for path in PACKAGE.rglob("*.py"))
        and not (ROOT / name).exists()
        and name not in ("backups/", "versions/", "run/")  # of a person's
    ]
    assert missing == []


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_each_link_leads_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)", (ROOT / page).read_text())
    assert links
    assert [link for link in links if not link.startswith("http") and not (ROOT / link).exists()] == []
