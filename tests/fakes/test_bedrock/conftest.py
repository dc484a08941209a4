"""A fake Bedrock for every test."""

from collections.abc import Iterator

import pytest

from tests.fakes.bedrock import FakeBedrock


@pytest.fixture
def fake() -> Iterator[FakeBedrock]:
    with FakeBedrock() as fake:
        yield fake
