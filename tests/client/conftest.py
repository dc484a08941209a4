"""Which versions of the real client there are here."""

from pathlib import Path

import pytest

from tests.client.claude import VERSIONS, why_missing


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """A version of Claude Code that scripts/fetch-clients fetched."""
    wanted: str = request.param
    if reason := why_missing(wanted):
        pytest.skip(reason)
    return wanted


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home for the client, new for every test."""
    return tmp_path / "home"
