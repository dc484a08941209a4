"""Two gateways on one database, between the same fakes."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.support.daemon import Daemon
from tests.support.postgres import PostgresServer
from tests.support.sharing import secret_file, sharing, wait_shared
from tests.support.stage import Stage, keys_of

ROUTER = """
[router]
num_retries = 0
allowed_fails = 100
[bedrock]
through = "direct"
callers = "any"
"""


class Gateways:
    """Gateways of one cluster, made when they are asked for. *url* is their database."""

    def __init__(self, anthropic: FakeAnthropic, bedrock: FakeBedrock, url: str, directory: Path) -> None:
        self.anthropic, self.bedrock, self.url = anthropic, bedrock, url
        self.directory = directory
        self.secret = secret_file(directory)
        self._stack = ExitStack()

    def start(
        self, *, url: str = "", secret: Path | None = None, more: str = "", environ: Mapping[str, str] | None = None
    ) -> Stage:
        """Start one more."""
        config = sharing(url or self.url, secret or self.secret) + ROUTER + more
        daemon = Daemon(
            upstream=self.anthropic.url,
            config=config,
            environ=keys_of(self.bedrock) | dict(environ or {}),
            has_ledger=False,
        )
        return Stage(self.anthropic, self.bedrock, self._stack.enter_context(daemon), token="sk-ant-oat01-shared")

    def two(self, **how: Any) -> tuple[Stage, Stage]:
        """Start two, and return when each has heard of the other."""
        one, other = self.start(**how), self.start(**how)
        for stage in (one, other):
            wait_shared(stage.daemon, "connected", lambda how: bool(how["others"]))
        return one, other

    def close(self) -> None:
        """End them."""
        self._stack.close()


@pytest.fixture
def gateways(
    anthropic: FakeAnthropic, bedrock: FakeBedrock, postgres: PostgresServer, tmp_path: Path
) -> Iterator[Gateways]:
    made = Gateways(anthropic, bedrock, postgres.new_database(), tmp_path)
    yield made
    made.close()
