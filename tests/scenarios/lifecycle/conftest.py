"""The scenes of these tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.support.build import Build


@pytest.fixture
def fake() -> Iterator[FakeAnthropic]:
    """Return an Anthropic that holds no answer longer than its test."""
    with FakeAnthropic() as fake:
        try:
            yield fake
        finally:
            fake.release()


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Return an installation that can be broken."""
    return Build(tmp_path / "build")
