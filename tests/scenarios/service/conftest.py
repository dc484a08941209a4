"""The scenes of these tests."""

from collections.abc import Iterator

import pytest

from tests.scenarios.service.inside import Inside

SHELL = {"AWS_PROFILE": "Sandbox", "AWS_ENDPOINT_URL_DYNAMODB": "https://ada:hunter2@db/usage"}


@pytest.fixture
def inside() -> Iterator[Inside]:
    """Return a person's machine with a systemd user manager. Nothing there reaches Anthropic, or us."""
    with Inside(environ=SHELL) as inside:
        yield inside


@pytest.fixture(scope="package")
def shared() -> Iterator[Inside]:
    """Return one for all the tests that leave nothing on it."""
    with Inside(environ=SHELL) as inside:
        yield inside


@pytest.fixture
def bare(shared: Inside) -> Iterator[Inside]:
    """Return a machine on which nothing gets installed."""
    yield shared
    assert shared.good(f"find {Inside.home} -type f -o -type l") == "", "it has left something"
