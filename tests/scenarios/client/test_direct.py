"""The real Claude Code, pointed straight at the fake: what works here must work through the gateway too."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.scenarios.client.claude import KEY, OAUTH, SUBSCRIPTION, Claude, Credential
from tests.scenarios.client.scenarios import SCENARIOS, hello

pytestmark = [
    pytest.mark.client,
    pytest.mark.timeout(60),
    pytest.mark.one_side("not through the gateway"),  # another test's may be running
]

Scenario = Callable[[Claude, FakeAnthropic], None]


@pytest.fixture
def fake() -> Iterator[FakeAnthropic]:
    """The Anthropic of a client without a gateway."""
    with FakeAnthropic(direct=True) as fake:
        yield fake


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_works(scenario: Scenario, version: str, fake: FakeAnthropic, home: Path) -> None:
    scenario(Claude(version, fake.url, home, OAUTH), fake)


@pytest.mark.parametrize("credential", [SUBSCRIPTION, KEY], ids=str)
def test_signs_in_with(credential: Credential, version: str, fake: FakeAnthropic, home: Path) -> None:
    hello(Claude(version, fake.url, home, credential), fake)


def test_says_what_it_is_told_when_it_may_not(version: str, fake: FakeAnthropic, home: Path) -> None:
    fake.fail_next(403, message="not for herons", times=3)
    result = Claude(version, fake.url, home).ask("good morning")
    assert not result.succeeded
    assert "not for herons" in result.text
