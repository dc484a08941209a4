"""What most scenarios have: an Anthropic."""

from collections.abc import Iterator

import pytest

from tests.fakes.anthropic import FakeAnthropic


@pytest.fixture
def fake() -> Iterator[FakeAnthropic]:
    """Return an Anthropic that holds no answer longer than its test."""
    with FakeAnthropic() as fake:
        try:
            yield fake
        finally:
            fake.release()
