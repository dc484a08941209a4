"""The engine as the worker sees it: start, wait until it is ready, connect, stop."""

import asyncio
import functools
import gc
import logging
import secrets
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakSet

from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.errors import GatewayError, describe_exception
from claude_gatewayd.http1.upstream.connection import UpstreamConnection
from claude_gatewayd.http1.upstream.failure import UpstreamFailed
from claude_gatewayd.ledger.prices.rates import Price
from claude_gatewayd.system import installation
from claude_gatewayd.worker.engine.settings import EngineSettings

if TYPE_CHECKING:
    from claude_gatewayd.worker.engine.app import App

logger = logging.getLogger(__name__)

_KEYS_TIMEOUT = 15.0
_STOP_TIMEOUT = 3.0
# While LiteLLM is imported, its thread must not hold the interpreter for long: the relay runs beside it. Measured by a
# timer of 5 ms on the relay's loop: p99 is 48 ms with Python's own interval of 5 ms, and 8 ms with this.
_SWITCH_INTERVAL = 0.0005
# Until LiteLLM is ready, but for so many seconds at most, no garbage is collected either: the longest pause falls from
# 93 ms to 43.
_MAX_QUIET = 60.0

_HANGS = "does not respond: a callback of [litellm] config may block its event loop"

_CODE = installation.own_fingerprint()

EngineState = Literal["off", "loading", "ready", "failed"]
LoadApp = Callable[[EngineSettings, str, Callable[[], Awaitable[AwsKeys]]], "App"]


class EngineFailed(GatewayError):
    """LiteLLM cannot be used: why, and what helps."""


def _load(settings: EngineSettings, key: str, keys: Callable[[], Awaitable[AwsKeys]]) -> "App":
    from claude_gatewayd.worker.engine.app import App

    return App(settings, key, keys)


class _QuietPeriod:
    """A time in which the interpreter is held as briefly as possible, for the sake of the relay."""

    def __init__(self) -> None:
        self._interval: float | None = None

    def begin(self) -> None:
        self._interval = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_INTERVAL)
        gc.disable()

    def end(self) -> None:
        """End it, once. What exists by now stays for good, so no collection needs to look at it."""
        interval, self._interval = self._interval, None
        if interval is not None:
            gc.freeze()
            gc.enable()
            sys.setswitchinterval(interval)


class Engine:
    """LiteLLM in a thread of its own. *keys* is called on the worker's loop, for each call to Bedrock."""

    def __init__(
        self,
        settings: EngineSettings,
        keys: Callable[[], Coroutine[Any, Any, AwsKeys]],
        on_change: Callable[[], None],
        load: LoadApp = _load,
    ) -> None:
        self.state: EngineState = "off"
        self.hangs = False  # its loop does not take its turns: nothing that it is asked is answered
        self.outdated = False  # the installation has changed: its LiteLLM may not fit the code that runs here
        self._settings = settings
        self._keys = keys
        self._on_change = on_change
        self._load = load
        self._quiet = _QuietPeriod()
        self._loop = asyncio.get_running_loop()
        self._settled: asyncio.Future[None] = self._loop.create_future()
        self._thread: threading.Thread | None = None
        self._app: App | None = None
        self._connections: WeakSet[UpstreamConnection] = WeakSet()
        self._why = ""
        self._stopped = False
        self._seconds = 0.0
        self._key = secrets.token_urlsafe(32)

    def start(self) -> None:
        """Begin to load LiteLLM, unless that has begun, or the installation has changed since we started."""
        if self.state != "off":
            return
        if installation.fingerprint() != _CODE:
            self.outdated = True
            self._set_state("failed", "the installation has changed since this generation started")
            return
        self._set_state("loading")
        self._quiet.begin()
        self._loop.call_later(_MAX_QUIET, self._quiet.end)
        self._thread = threading.Thread(target=self._run_thread, name="litellm", daemon=True)
        self._thread.start()

    async def ready(self, seconds: float) -> None:
        """Start it if necessary, and return when it serves. Raises EngineFailed, after *seconds* at the latest."""
        if self.hangs:
            raise EngineFailed(f"LiteLLM {_HANGS}", "claude-gatewayctl reload")
        if self.state == "ready":
            return
        self.start()
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(self._settled)
        except TimeoutError:
            raise EngineFailed("LiteLLM is still loading", "claude-gatewayctl status") from None
        if self._why:
            raise EngineFailed(f"LiteLLM cannot be used: {self._why}", "claude-gatewayctl reload")

    async def connect(self) -> UpstreamConnection:
        """Open a connection to it. Raises UpstreamFailed.

        It is a pair of sockets: nobody else can connect, and there is no file that could be removed.
        """
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            raise UpstreamFailed("connect", f"LiteLLM could not be reached: {error.strerror}") from None
        try:
            if self._app is None:
                raise RuntimeError("it has not been loaded")
            self._app.accept(theirs)
            _transport, connection = await self._loop.create_unix_connection(UpstreamConnection, sock=ours)
        except BaseException as error:
            ours.close()
            theirs.close()
            if isinstance(error, (OSError, RuntimeError)):
                raise UpstreamFailed("connect", f"LiteLLM could not be reached: {error}") from None
            raise
        self._connections.add(connection)
        return connection

    async def responds(self, seconds: float) -> bool:
        """Return whether its loop takes a turn within *seconds*; if not, it `hangs` until it does."""
        turn = self._loop.create_future()

        def has_come() -> None:
            if not turn.done():
                turn.set_result(None)
            if self.hangs:
                self._set_hanging(hangs=False)

        if self._app is None or not self._app.takes_turn(lambda: self._in_worker(has_come)):
            return False
        try:
            async with asyncio.timeout(seconds):
                await turn
        except TimeoutError:
            if not self.hangs:
                self._set_hanging(hangs=True)
            return False
        return True

    @property
    def authorization(self) -> bytes:
        """The value of the Authorization header that it expects."""
        return b"Bearer " + self._key.encode()

    @property
    def has_config(self) -> bool:
        """Whether there is a LiteLLM configuration of the person's own."""
        return self._settings.config is not None

    @property
    def model_names(self) -> frozenset[str]:
        """The models of the person's own configuration; none before LiteLLM is ready."""
        return self._app.user_config.model_names if self._app is not None else frozenset()

    def allowed_fields(self, model: str) -> frozenset[str]:
        """Return the fields of a body that the person's configuration of a model allows besides the usual ones."""
        return self._app.user_config.allowed_fields(model) if self._app is not None else frozenset()

    def price_of(self, model: str) -> Price | None:
        """Return what a model of the person's own costs; None if LiteLLM does not know, or is not loaded."""
        return self._app.price_of(model) if self._app is not None else None

    def snapshot(self) -> dict[str, Any]:
        """Return its state, for the status. *seconds* is how long loading took."""
        user_config = self._app.user_config if self._app is not None else None
        config = None
        if self._settings.config is not None:
            problems = [problem.as_dict() for problem in user_config.problems] if user_config is not None else []
            config = {"path": str(self._settings.config), "problems": problems}
        return {
            "state": self.state,
            "version": _version(),
            "why": _HANGS if self.hangs else self._why,
            "seconds": round(self._seconds, 1),
            "config": config,
            "callbacks": [callback.as_dict() for callback in user_config.callbacks] if user_config is not None else [],
        }

    async def stop(self) -> None:
        """Stop it, and wait for three seconds at most. An import cannot be stopped: it ends with the process."""
        if self._thread is None:
            return
        self._stopped = True
        if self._app is not None:
            self._app.stop()
            await asyncio.to_thread(self._thread.join, _STOP_TIMEOUT)

    # -- in the engine's thread

    def _run_thread(self) -> None:
        begun = time.monotonic()

        def is_ready() -> None:
            self._quiet.end()
            self._set_state_from_thread("ready", "", time.monotonic() - begun)

        phase = "be loaded"
        try:
            self._app = self._load(self._settings, self._key, self._keys_from_worker)
            phase = "go on"
            why = self._app.run(is_ready) if not self._stopped else ""
        except BaseException as error:
            # An import of 4,000 modules can raise anything, SystemExit too. The relay goes on without LiteLLM.
            logger.debug("LiteLLM cannot %s", phase, exc_info=True)
            why = f"it cannot {phase}: {describe_exception(error)}"
        finally:
            self._quiet.end()
        if not self._stopped:
            self._set_state_from_thread("failed", why)

    async def _keys_from_worker(self) -> AwsKeys:
        """Get keys from the worker's loop. Raises KeysUnavailable, TimeoutError."""
        asked = asyncio.run_coroutine_threadsafe(self._keys(), self._loop)
        async with asyncio.timeout(_KEYS_TIMEOUT):
            return await asyncio.wrap_future(asked)

    def _set_state_from_thread(self, state: EngineState, why: str, seconds: float = 0.0) -> None:
        self._in_worker(functools.partial(self._set_state, state, why, seconds))

    def _in_worker(self, call: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            pass  # the worker's loop has ended

    # -- in the worker's

    def _set_hanging(self, *, hangs: bool) -> None:
        self.hangs = hangs
        self._on_change()
        if hangs:
            logger.warning("LiteLLM %s: Bedrock is asked directly until it does", _HANGS)
        else:
            logger.info("LiteLLM responds again")

    def _set_state(self, state: EngineState, why: str = "", seconds: float = 0.0) -> None:
        self.state, self._why, self._seconds = state, why, seconds
        if state != "loading" and not self._settled.done():
            self._settled.set_result(None)
        self._on_change()
        if state == "loading":
            logger.info("LiteLLM %s is being loaded", _version())
        elif state == "ready":
            logger.info("LiteLLM %s is ready after %.1f s", _version(), seconds)
        else:
            for connection in list(self._connections):  # its loop has ended, and closes none: their requests would hang
                connection.abort()
            logger.error("LiteLLM cannot be used: %s", why)


@functools.cache
def _version() -> str:
    return installation.version_of("litellm") or "not installed"
