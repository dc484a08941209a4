"""The scenes of these tests."""

from collections.abc import Iterator

import pytest

from tests.service.inside import Inside


@pytest.fixture
def inside() -> Iterator[Inside]:
    """Return a person's machine with a systemd user manager. Nothing there reaches Anthropic, or us."""
    with Inside(environ={"AWS_PROFILE": "Sandbox", "DATABASE_URL": "postgresql://ada:hunter2@db/usage"}) as inside:
        yield inside
