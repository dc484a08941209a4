"""The engine as the worker sees it, with an application of its own in the place of LiteLLM's."""

import asyncio
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.worker.engine import EngineFailed
from tests.support.loop import until
from tests.unit.worker.engine.application import App, engine


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    interval = sys.getswitchinterval()
    yield
    gc.enable()
    gc.unfreeze()
    sys.setswitchinterval(interval)


def test_no_garbage_is_collected_until_it_is_ready() -> None:
    """A collection of all that is being made would hold the relay, which shares the interpreter."""
    interval = sys.getswitchinterval()
    app = App()

    async def live() -> None:
        it = engine(lambda *_: app)
        assert gc.isenabled()
        it.start()
        assert not gc.isenabled()
        assert sys.getswitchinterval() < interval / 2
        app.go.set()
        await it.ready(5)
        assert it.state == "ready"
        assert gc.isenabled()
        assert sys.getswitchinterval() == pytest.approx(interval)
        await it.stop()

    asyncio.run(live())
    assert app.collects == [False, True]


def test_a_failure_is_told_and_garbage_collected_again() -> None:
    async def live() -> None:
        def load(*_: Any) -> App:
            raise ImportError("no such module")

        it = engine(load)
        with pytest.raises(EngineFailed, match="ImportError: no such module"):
            await it.ready(5)
        assert it.state == "failed"
        assert gc.isenabled()
        await it.stop()

    asyncio.run(live())


def test_one_that_ends_by_itself_is_no_longer_ready() -> None:
    app = App()

    async def live() -> None:
        it = engine(lambda *_: app)
        app.go.set()
        await it.ready(5)
        app.stopped.set()
        await until(lambda: it.state == "failed")
        with pytest.raises(EngineFailed, match="it was stopped"):
            await it.ready(5)
        await it.stop()

    asyncio.run(live())


def test_one_whose_loop_is_blocked_hangs_until_it_goes_on() -> None:
    app = App()

    async def live() -> None:
        it = engine(lambda *_: app)
        assert not await it.responds(5)  # it is not there yet
        app.go.set()
        await it.ready(5)
        assert await it.responds(5)
        app.blocks = True
        assert not await it.responds(0.01)
        assert not await it.responds(0.01)
        assert it.hangs
        with pytest.raises(EngineFailed, match="LiteLLM does not respond"):
            await it.ready(5)
        assert it.state == "ready"
        assert it.snapshot()["why"] == "does not respond: a callback of [litellm] config may block its event loop"
        app.goes_on()
        await until(lambda: not it.hangs)
        assert it.snapshot()["why"] == ""
        assert await it.responds(5)
        await it.stop()

    asyncio.run(live())


def test_a_request_does_not_wait_for_one_that_has_ended() -> None:
    """Its loop has stopped, so that it does not even close the connection."""
    app = App()

    async def live() -> None:
        it = engine(lambda *_: app)
        app.go.set()
        await it.ready(5)
        connection = await it.connect()
        connection.send(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b"", without_body=False, complete=True)
        answer = asyncio.ensure_future(connection.answer(60))
        app.stopped.set()
        with pytest.raises(UpstreamFailed, match="closed the connection without an answer"):
            await asyncio.wait_for(answer, 5)
        assert it.state == "failed"
        await it.stop()

    asyncio.run(live())
    for accepted in app.accepted:
        accepted.close()


def test_one_that_is_stopped_has_not_failed(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    async def live() -> None:
        it = engine(lambda *_: app)
        app.go.set()
        await it.ready(5)
        await it.stop()
        await asyncio.sleep(0)
        assert it.state == "ready"

    asyncio.run(live())
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


class Loop(asyncio.SelectorEventLoop):
    """A loop whose clock can be put forward."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


def test_one_that_is_never_ready_is_not_waited_for() -> None:
    app = App()
    loop = Loop()

    async def live() -> None:
        it = engine(lambda *_: app)
        with pytest.raises(EngineFailed, match="still loading"):
            await it.ready(0.05)
        assert not gc.isenabled()
        loop.ahead = 120.0
        await until(gc.isenabled)
        app.go.set()
        app.stop()
        await it.stop()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(live())


@pytest.mark.parametrize("error", [MemoryError(), RecursionError("too deep"), SystemExit(3), KeyboardInterrupt()])
@pytest.mark.parametrize("while_loading", [True, False])
def test_whatever_is_raised_in_its_thread_is_a_failure_of_its_own(error: BaseException, while_loading: bool) -> None:
    class Failing(App):
        def run(self, ready: Callable[[], None]) -> str:
            ready()
            raise error

    def load(*_: Any) -> App:
        if while_loading:
            raise error
        return Failing()

    async def live() -> None:
        it = engine(load)
        it.start()
        await until(lambda: it.state == "failed")
        with pytest.raises(EngineFailed, match=type(error).__name__):
            await it.ready(5)
        assert gc.isenabled()
        await it.stop()

    asyncio.run(live())


def test_one_that_loads_is_not_waited_for() -> None:
    """An import cannot be ended; what comes of it is not served any more."""
    app, loaded = App(), threading.Event()

    def load(*_: Any) -> App:
        loaded.wait(10)
        return app

    async def live() -> threading.Thread | None:
        it = engine(load)
        it.start()
        async with asyncio.timeout(5):
            await it.stop()
        return it._thread

    thread = asyncio.run(live())
    loaded.set()
    assert thread is not None
    thread.join(10)
    assert app.collects == [], "it has not been run"
