"""The scenes of these tests: one daemon a module, in front of one fake, wiped clean before each test."""

from collections.abc import Iterator

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.anthropic_steps import Wire
from tests.fakes.upstream import Upstream
from tests.scenarios.relay.raw import RawClient, RawReply, ask
from tests.support.daemon import Daemon


class Scene:
    """A daemon and the Anthropic behind it."""

    def __init__(self, fake: FakeAnthropic, daemon: Daemon) -> None:
        self.fake = fake
        self.daemon = daemon
        self.port = daemon.port

    def ask(self, data: bytes, method: str = "") -> RawReply:
        """Ask once, on a connection of its own."""
        return ask(self.port, data, method)

    def client(self) -> RawClient:
        """Return a connection."""
        return RawClient(self.port)

    def settled(self) -> bool:
        """Say whether the fake is serving nobody."""
        return self.fake.open_connections == self.fake.idle_connections


@pytest.fixture(scope="module")
def module_scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """Start a daemon with the CONFIG of the module."""
    config = getattr(request.module, "CONFIG", "")
    with FakeAnthropic() as fake, Daemon(upstream=fake.url, config=config) as daemon:
        yield Scene(fake, daemon)
        assert "Traceback" not in daemon.log
        assert "fault of the gateway" not in daemon.log


@pytest.fixture
def scene(module_scene: Scene) -> Iterator[Scene]:
    """Return the module's scene, with nothing in it of the test before."""
    fake = module_scene.fake
    fake.clear_faults()
    fake.wire = Wire()
    fake.requests.clear()
    fake.violations.clear()
    yield module_scene
    fake.release()
    try:
        fake.wait_until(module_scene.settled, what="the end of what is under way")
    finally:
        for connection in list(fake._live):  # what one test leaves behind must not fail the next
            if not connection.idle:
                fake._loop.call_soon_threadsafe(connection.end, "reset")
    assert fake.violations == []
    left = {path: len(faults) for path, faults in fake._faults.items() if faults}
    assert left == {}, "the test has not seen what it says"


@pytest.fixture(scope="module")
def module_upstream(request: pytest.FixtureRequest) -> Iterator[tuple[Upstream, Daemon]]:
    """Start a daemon with the CONFIG of the module in front of an upstream of bare bytes."""
    config = getattr(request.module, "CONFIG", "")
    with Upstream() as upstream, Daemon(upstream=upstream.url, config=config) as daemon:
        yield upstream, daemon
        assert "Traceback" not in daemon.log
        assert "fault of the gateway" not in daemon.log


@pytest.fixture
def upstream(module_upstream: tuple[Upstream, Daemon]) -> Upstream:
    """Return the module's upstream of bare bytes, with nothing left over."""
    upstream = module_upstream[0]
    assert upstream.scripts.empty()
    while not upstream.requests.empty():
        upstream.requests.get()
    return upstream


@pytest.fixture
def port(module_upstream: tuple[Upstream, Daemon]) -> int:
    """Return the port of the daemon in front of `upstream`."""
    return module_upstream[1].port
