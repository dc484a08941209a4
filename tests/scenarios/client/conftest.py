"""Which clients there are here, and the gateway that they share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.client.claude import VERSIONS, why_no_client
from tests.scenarios.client.scene import Scene, between_the_two
from tests.support.fetched import why_no_packages

OLDEST, *BETWEEN, NEWEST = VERSIONS


@pytest.fixture(params=[OLDEST, *(pytest.param(v, marks=pytest.mark.extended) for v in BETWEEN), NEWEST])
def version(request: pytest.FixtureRequest) -> str:
    """A version of Claude Code that scripts/fetch-clients fetched: the oldest and the newest; extended, all."""
    wanted: str = request.param
    if reason := why_no_client(wanted):
        pytest.skip(reason)
    return wanted


@pytest.fixture
def newest() -> str:
    """The newest version of Claude Code, where one is enough."""
    if reason := why_no_client(NEWEST):
        pytest.skip(reason)
    return NEWEST


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home for the client, new for every test."""
    return tmp_path / "home"


@pytest.fixture(scope="session")
def gateway() -> Iterator[Scene]:
    """One gateway for all the tests with a Bedrock: LiteLLM takes seconds."""
    reasons = [*map(why_no_client, VERSIONS), *map(why_no_packages, ("python", "node"))]
    if all(reasons):
        pytest.skip(reasons[0])  # before it is loaded for nobody
    with between_the_two() as scene:
        yield scene


@pytest.fixture
def scene(gateway: Scene) -> Iterator[Scene]:
    """The gateway for one test; what it was sent was right."""
    gateway.is_up()
    gateway.forget()
    yield gateway
    gateway.anthropic.clear_faults()
    gateway.bedrock.clear_faults()
    gateway.anthropic.release()
    assert gateway.bedrock.violations == []
    assert gateway.bedrock.refusals == []
    assert gateway.anthropic.violations == []
