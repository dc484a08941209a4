"""The engine as the worker sees it: start it, wait for it, connect to it, end it."""

import asyncio
import functools
import gc
import logging
import secrets
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Literal

from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.http1.upstream.connection import UpstreamConnection
from claude_gatewayd.network.connect import UnixConnector
from claude_gatewayd.system import installation
from claude_gatewayd.worker.engine.raised import describe
from claude_gatewayd.worker.engine.settings import EngineSettings

if TYPE_CHECKING:
    from claude_gatewayd.worker.engine.app import App

logger = logging.getLogger(__name__)

_CONNECTED_WITHIN = 5.0
_KEYS_WITHIN = 15.0
_ENDED_WITHIN = 3.0
# While LiteLLM is imported this thread shall not hold the interpreter longer than it must: the relay is beside it.
# Measured with a timer of 5 ms on the relay's loop: p99 48 ms with Python's own 5 ms, 8 ms with this.
_SWITCH_INTERVAL = 0.0005
# Nor is garbage collected until it is ready and warm (most of all: 93 ms, then 43). At most for so long
_QUIET_FOR = 60.0

_CODE = installation.fingerprint()

EngineState = Literal["off", "loading", "ready", "failed"]
LoadApp = Callable[[EngineSettings, str, Callable[[], Awaitable[AwsKeys]]], "App"]


class EngineFailed(GatewayError):
    """LiteLLM is not there: why, and what helps."""


def _load(settings: EngineSettings, key: str, keys: Callable[[], Awaitable[AwsKeys]]) -> "App":
    from claude_gatewayd.worker.engine.app import App

    return App(settings, key, keys)


class _Quiet:
    """A time in which the interpreter is held as little as can be, for the relay's sake. It has an end, always."""

    def __init__(self) -> None:
        self._interval: float | None = None

    def begin(self) -> None:
        self._interval = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_INTERVAL)
        gc.disable()

    def end(self) -> None:
        """End it, once. What has been made until now is for ever, and looked at by no collection."""
        interval, self._interval = self._interval, None
        if interval is not None:
            gc.freeze()
            gc.enable()
            sys.setswitchinterval(interval)


class Engine:
    """LiteLLM in a thread of its own. *keys* are asked for on the worker's loop, for each call to Bedrock."""

    def __init__(
        self,
        settings: EngineSettings,
        keys: Callable[[], Coroutine[Any, Any, AwsKeys]],
        changed: Callable[[], None],
        load: LoadApp = _load,
    ) -> None:
        self.state: EngineState = "off"
        self.outdated = False  # what would be loaded now does not belong to what runs here
        self._settings = settings
        self._keys = keys
        self._changed = changed
        self._load = load
        self._quiet = _Quiet()
        self._loop = asyncio.get_running_loop()
        self._settled: asyncio.Future[None] = self._loop.create_future()
        self._thread: threading.Thread | None = None
        self._app: App | None = None
        self._why = ""
        self._stopped = False
        self._seconds = 0.0
        self._key = secrets.token_urlsafe(32)
        self._connector = UnixConnector(str(settings.socket), seconds=_CONNECTED_WITHIN, name="LiteLLM")

    def start(self) -> None:
        """Begin to load LiteLLM, unless that has been done, or is another than we were started with."""
        if self.state != "off":
            return
        if installation.fingerprint() != _CODE:
            self.outdated = True
            self._became("failed", "the installation has changed since this generation started")
            return
        self._became("loading")
        self._quiet.begin()
        self._loop.call_later(_QUIET_FOR, self._quiet.end)
        self._thread = threading.Thread(target=self._live, name="litellm", daemon=True)
        self._thread.start()

    async def ready(self, seconds: float) -> None:
        """Return when it serves; it is started if need be. Raises EngineFailed, after *seconds* at most."""
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
        """Return a connection to it. Raises UpstreamFailed."""
        return await self._connector()

    @property
    def authorization(self) -> bytes:
        """The value of the Authorization header that it asks for."""
        return b"Bearer " + self._key.encode()

    @property
    def has_config(self) -> bool:
        """Say whether there is a configuration of the person's own."""
        return self._settings.config is not None

    @property
    def model_names(self) -> frozenset[str]:
        """The models of the person's own configuration; none before it is ready."""
        return self._app.own.model_names if self._app is not None else frozenset()

    def allowed_fields(self, model: str) -> frozenset[str]:
        """Return the fields of a body that the person's configuration of a model allows besides the usual ones."""
        return self._app.own.allowed_fields(model) if self._app is not None else frozenset()

    def snapshot(self) -> dict[str, Any]:
        """Return how it is, for the status. *seconds* is what loading took."""
        own = self._app.own if self._app is not None else None
        config = None
        if self._settings.config is not None:
            problems = [problem.as_dict() for problem in own.problems] if own is not None else []
            config = {"path": str(self._settings.config), "problems": problems}
        return {
            "state": self.state,
            "version": _version(),
            "why": self._why,
            "seconds": round(self._seconds, 1),
            "config": config,
            "callbacks": [callback.as_dict() for callback in own.callbacks] if own is not None else [],
        }

    async def stop(self) -> None:
        """End it. What it has not finished in three seconds ends with the process; an import cannot be ended at all."""
        if self._thread is None:
            return
        self._stopped = True
        if self._app is not None:
            self._app.stop()
            await asyncio.to_thread(self._thread.join, _ENDED_WITHIN)
        self._settings.socket.unlink(missing_ok=True)

    # -- in the engine's thread

    def _live(self) -> None:
        begun = time.monotonic()

        def is_ready() -> None:
            self._quiet.end()
            self._tell("ready", "", time.monotonic() - begun)

        doing = "be loaded"
        try:
            self._app = self._load(self._settings, self._key, self._keys_from_there)
            doing = "go on"
            why = self._app.run(is_ready) if not self._stopped else ""
        except BaseException as error:
            # Whatever an import of 4,000 modules can raise, SystemExit too: the relay goes on without it.
            logger.debug("LiteLLM cannot %s", doing, exc_info=True)
            why = f"it cannot {doing}: {describe(error)}"
        finally:
            self._quiet.end()
        if not self._stopped:
            self._tell("failed", why)

    async def _keys_from_there(self) -> AwsKeys:
        """Ask for keys on the worker's loop, from the engine's. Raises KeysUnavailable, TimeoutError."""
        asked = asyncio.run_coroutine_threadsafe(self._keys(), self._loop)
        async with asyncio.timeout(_KEYS_WITHIN):
            return await asyncio.wrap_future(asked)

    def _tell(self, state: EngineState, why: str, seconds: float = 0.0) -> None:
        try:
            self._loop.call_soon_threadsafe(self._became, state, why, seconds)
        except RuntimeError:
            pass  # the worker's loop has ended

    def _became(self, state: EngineState, why: str = "", seconds: float = 0.0) -> None:
        self.state, self._why, self._seconds = state, why, seconds
        if state == "loading":
            logger.info("LiteLLM %s is being loaded", _version())
        elif state == "ready":
            logger.info("LiteLLM %s is ready after %.1f s", _version(), seconds)
        else:
            logger.error("LiteLLM cannot be used: %s", why)
        if state != "loading" and not self._settled.done():
            self._settled.set_result(None)
        self._changed()


@functools.cache
def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("litellm")
    except PackageNotFoundError:
        return "not installed"
