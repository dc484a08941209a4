"""What most scenarios have: an Anthropic, and a Bedrock."""

from collections.abc import Iterator

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock


@pytest.fixture
def fake() -> Iterator[FakeAnthropic]:
    """Return an Anthropic that holds no answer longer than its test."""
    with FakeAnthropic() as fake:
        try:
            yield fake
        finally:
            fake.release()


@pytest.fixture
def anthropic(fake: FakeAnthropic) -> FakeAnthropic:
    """Return the same, by its name where there is a Bedrock too."""
    return fake


@pytest.fixture
def bedrock() -> Iterator[FakeBedrock]:
    """Return a Bedrock."""
    with FakeBedrock() as fake:
        yield fake
