"""One daemon for all: loading LiteLLM takes ten seconds. Each test has a caller of its own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.scenarios.fallback.elsewhere import Elsewhere, standing
from tests.support.daemon import Daemon
from tests.support.stage import EAGER, THROUGH, Stage, Through, keys_of

CONFIG = """
[anthropic]
first_byte_timeout = 2

[router]
num_retries = 1
retry_after = 0
allowed_fails = 100   # the circuit has tests of its own

[bedrock]
timeout = 4
"""


Standing = Callable[[Through], Stage]


@contextmanager
def _standing(through: Through) -> Iterator[Stage]:
    environ = EAGER | {"CLAUDE_GATEWAY_BEDROCK_THROUGH": through}
    with FakeAnthropic() as anthropic, FakeBedrock() as bedrock:
        with Daemon(upstream=anthropic.url, config=CONFIG, environ=keys_of(bedrock) | environ) as daemon:
            stage = Stage(anthropic, bedrock, daemon)
            stage.wait_asking(through)
            yield stage
        assert "Traceback" not in daemon.log


@pytest.fixture(scope="session")
def standing_by() -> Iterator[Standing]:
    """Return what starts a stage for a transport, or returns the one that stands."""
    stages: dict[Through, Stage] = {}
    with ExitStack() as stack:

        def stage_for(through: Through) -> Stage:
            if through not in stages:
                stages[through] = stack.enter_context(_standing(through))
            return stages[through]

        yield stage_for


@pytest.fixture(scope="session", params=THROUGH)
def loaded(request: pytest.FixtureRequest, standing_by: Standing) -> Stage:
    """Return a stage whose daemon asks Bedrock through LiteLLM, which is loaded, or directly."""
    return standing_by(request.param)


@contextmanager
def _acted_on(loaded: Stage) -> Iterator[Stage]:
    stage = Stage(loaded.anthropic, loaded.bedrock, loaded.daemon)
    stage.anthropic.clear_faults()
    stage.bedrock.clear_faults()
    stage.bedrock.revive_key()
    stage.anthropic.good = None
    stage.prove()
    yield stage
    stage.anthropic.release()
    stage.bedrock.release()
    assert stage.anthropic.violations == []
    assert stage.bedrock.violations == []
    assert stage.bedrock.refusals == []
    assert not has_learned(stage), "all tests after this one would meet what it has taught the daemon: it needs its own"


def has_learned(stage: Stage) -> bool:
    """Return whether Bedrock's refusals have changed what the daemon sends."""
    return "left out from now on" in stage.daemon.log


@pytest.fixture
def stage(loaded: Stage) -> Iterator[Stage]:
    """Return the stage for one test: a caller whom Anthropic knows, and nothing that was queued before."""
    with _acted_on(loaded) as stage:
        yield stage


@pytest.fixture
def both(standing_by: Standing) -> Iterator[tuple[Stage, Stage]]:
    """Return the two stages for one test: through LiteLLM, and direct."""
    with _acted_on(standing_by("litellm")) as litellm, _acted_on(standing_by("direct")) as direct:
        yield litellm, direct


@pytest.fixture(scope="session")
def elsewhere_loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    """Return the stage whose upstreams say what a test has them say."""
    with standing(tmp_path_factory.mktemp("litellm"), "litellm") as it:
        yield it


@pytest.fixture(scope="session")
def elsewhere_direct(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    """Return such a stage whose Bedrock is asked directly."""
    with standing(tmp_path_factory.mktemp("litellm"), "direct") as it:
        yield it


@pytest.fixture
def elsewhere(elsewhere_loaded: Elsewhere) -> Elsewhere:
    """Return it for one test, with nothing that was asked before."""
    return elsewhere_loaded.emptied()
