"""Which clients there are here, which of them takes which route, and the gateways that they share."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.scenarios.client.agreement import watched
from tests.scenarios.client.claude import VERSIONS, why_no_client
from tests.scenarios.client.routes import NEWEST, OLDEST, Route
from tests.scenarios.client.scene import Gateway, Scene, between_the_two, gateway_key, gateway_of, of_aws, written_below
from tests.support.fetched import why_no_packages
from tests.support.stand_in_litellm import broken_litellm

BETWEEN = VERSIONS[1:-1]


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


@pytest.fixture(autouse=True)
def no_token_of_difference(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """After each run, the client's transcripts and the gateways' ledgers have the same tokens."""
    with watched(tmp_path, time.time(), [why for mark in request.node.iter_markers("one_side") for why in mark.args]):
        yield


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home for the client, new for every test."""
    return tmp_path / "home"


@pytest.fixture
def route(request: pytest.FixtureRequest) -> Route:
    """The way to Bedrock: through LiteLLM, unless the test is marked with `routes.by`."""
    wanted: Route = getattr(request, "param", "litellm")
    return wanted


@pytest.fixture(scope="session")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Gateway], Scene]]:
    """One gateway of a kind, for all the tests with a Bedrock, started when it is needed."""
    reasons = [*map(why_no_client, VERSIONS), *map(why_no_packages, ("python", "node"))]
    if all(reasons):
        pytest.skip(reasons[0])  # before it is loaded for nobody
    started: dict[Gateway, Scene] = {}
    with ExitStack() as stack:

        def gateway(kind: Gateway) -> Scene:
            if kind not in started:
                broken = broken_litellm(tmp_path_factory.mktemp("broken")) if kind == "broken-litellm" else {}
                started[kind] = stack.enter_context(between_the_two(kind, broken))
            return started[kind]

        yield gateway


@pytest.fixture
def scene(gateways: Callable[[Gateway], Scene], route: Route, home: Path) -> Iterator[Scene]:
    """The gateway for one test; what it was sent was right, and no secret is where it must not be."""
    scene = replace(gateways(gateway_of(route)), route=route)
    scene.is_up()
    scene.bedrock.refusals.clear()  # one that failed a test is not the next one's
    scene.forget()
    yield scene
    scene.anthropic.clear_faults()
    scene.bedrock.clear_faults()
    scene.anthropic.release()
    assert scene.bedrock.violations == []
    assert scene.bedrock.refusals == []
    assert scene.anthropic.violations == []
    if route == "bedrock-mode":
        assert scene.anthropic.requests == []
    scene.forget()
    assert written_below(home, gateway_key(scene.daemon), *of_aws(scene.bedrock)) == []
