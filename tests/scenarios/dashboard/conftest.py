"""One daemon, and a browser that has a session with it, for tests that leave both as they were."""

from collections.abc import Iterator

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.support.daemon import Daemon
from tests.support.pages import Browser


@pytest.fixture(scope="package")
def upstream() -> Iterator[FakeAnthropic]:
    with FakeAnthropic() as fake:
        yield fake


@pytest.fixture(scope="package")
def daemon(upstream: FakeAnthropic) -> Iterator[Daemon]:
    with Daemon(upstream=upstream.url) as one:
        yield one


@pytest.fixture(scope="package")
def browser(daemon: Daemon) -> Browser:
    return Browser.of(daemon)
