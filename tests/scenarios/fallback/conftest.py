"""One daemon for all: loading LiteLLM takes ten seconds. Each test has a caller of its own."""

from collections.abc import Iterator

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.scenarios.fallback.elsewhere import Elsewhere, standing
from tests.support.daemon import Daemon
from tests.support.stage import EAGER, Stage, keys_of

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


@pytest.fixture(scope="session", params=["litellm", "direct"])
def loaded(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """Return a stage whose daemon asks Bedrock through LiteLLM, which is loaded, or directly."""
    environ = EAGER | {"CLAUDE_GATEWAY_BEDROCK_THROUGH": request.param}
    with FakeAnthropic() as anthropic, FakeBedrock() as bedrock:
        with Daemon(upstream=anthropic.url, config=CONFIG, environ=keys_of(bedrock) | environ) as daemon:
            stage = Stage(anthropic, bedrock, daemon)
            if request.param == "litellm":
                stage.wait_loaded()
            yield stage
        assert "Traceback" not in daemon.log


@pytest.fixture
def stage(loaded: Stage) -> Iterator[Stage]:
    """Return the stage for one test: a caller whom Anthropic knows, and nothing that was queued before."""
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


@pytest.fixture(scope="session")
def elsewhere_loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    """Return the stage whose upstreams say what a test has them say."""
    with standing(tmp_path_factory.mktemp("litellm")) as it:
        yield it


@pytest.fixture
def elsewhere(elsewhere_loaded: Elsewhere) -> Elsewhere:
    """Return it for one test, with nothing that was asked before."""
    while not elsewhere_loaded.upstream.requests.empty():
        elsewhere_loaded.upstream.request()
    elsewhere_loaded.stage.forget()
    return elsewhere_loaded
