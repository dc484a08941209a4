"""The scenes of these tests."""

from pathlib import Path

import pytest

from tests.support.build import Build


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Return an installation that can be broken."""
    return Build(tmp_path / "build")
