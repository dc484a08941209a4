"""One daemon, a client that has a session with it, for tests that leave both as they were; and a real browser."""

from collections.abc import Iterator

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.support.browser import INSTALL, Chromium, program
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


# For a module, not for the session: as long as playwright is there, asyncio.run is refused in its thread.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    executable = program()
    if not executable:
        pytest.skip(INSTALL)
    with Chromium(executable) as one:
        yield one
