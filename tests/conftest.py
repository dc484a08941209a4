"""The whole run: signals as they usually are, nothing is left of it, and a PostgreSQL for who asks for one."""

import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.support.leftovers import Run
from tests.support.mixing import mixed

if TYPE_CHECKING:  # psycopg takes a tenth of a second to import, and few files need it
    from claude_gatewayd.ledger.database import Database
    from tests.support.postgres import PostgresServer

# How long an example takes is the machine's matter: what must be quick has a test of its own.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

_run = pytest.StashKey[Run]()
_found = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Let no child inherit that a signal is ignored, as behind `nohup make test &`: a handler is not inherited."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    if not hasattr(config, "workerinput"):  # the workers of xdist find what this process has set
        config.stash[_run] = Run()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse names that differ from run to run: two processes would not agree on what the tests are."""
    if nameless := [item.nodeid for item in items if " at 0x" in item.nodeid]:
        raise pytest.UsageError(f"a test is named by an address in memory: {nameless[0]}")
    if hasattr(config, "workerinput"):
        ranks = mixed(item.path for item in items)
        items.sort(key=lambda item: ranks[item.path])


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Fail the run where something is left of it."""
    yield
    run = session.config.stash.get(_run, None)
    if run is None:
        return
    session.config.stash[_found] = found = run.end()
    if found and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was left."""
    found = config.stash.get(_found, [])
    terminalreporter.section("left behind", red=bool(found), green=not found)
    for one in found or ["nothing: no process, no socket, no directory"]:
        terminalreporter.line(one)


@pytest.fixture(scope="session")
def the_postgres_server() -> "Iterator[PostgresServer]":
    """Run one PostgreSQL for all tests of this process."""
    from tests.support import postgres

    programs = postgres.programs()
    if programs is None:
        pytest.skip(postgres.INSTALL)
    with postgres.PostgresServer(programs) as server:
        yield server


@pytest.fixture
def postgres(the_postgres_server: "PostgresServer") -> "Iterator[PostgresServer]":
    """Lend the PostgreSQL to a test, which may stop it."""
    yield the_postgres_server
    the_postgres_server.be_as_before()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> "Database":
    """Return a ledger's database without tables: a test that takes it runs on both."""
    from claude_gatewayd.ledger.database import Database

    if request.param == "sqlite":
        return Database(file=tmp_path / "state" / "ledger.sqlite3")
    server: PostgresServer = request.getfixturevalue("postgres")
    return Database(url=server.new_database())
