"""LiteLLM's proxy application: configured, with our hooks, served to the worker in this thread's loop.

It uses what LiteLLM documents (its application, custom auth, CustomLogger's hooks) and some places of 1.106.2 that are
not documented, to be checked with every version: `_get_config_from_file` and the globals of proxy/proxy_server.py; the
table of anthropic_beta_headers_manager; the number of tries in the configuration of Bedrock's messages; the finish
reason that CustomStreamWrapper gives to a stream; the adapter that asks models with thinking by /responses;
`python_redact_string` of secret_redaction; files that it reads by `json.load` and `json.loads` when it is imported; the
two functions that would read its price map again. What is replaced there is in patches.py and network/.
"""

import asyncio
import contextlib
import copy
import functools
import hmac
import io
import json
import logging
import os
import socket
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.errors import describe_exception
from claude_gatewayd.ledger.prices.rates import Price
from claude_gatewayd.network.egress import for_libraries
from claude_gatewayd.worker.engine import environment, patches
from claude_gatewayd.worker.engine.network.bridge import SocksBridge
from claude_gatewayd.worker.engine.request_context import RequestContext, current_request
from claude_gatewayd.worker.engine.settings import EngineSettings
from claude_gatewayd.worker.engine.user_config import describe_rejection, read_user_config

logger = logging.getLogger(__name__)

_MASTER_KEY = "LITELLM_MASTER_KEY"
_WARM = "bedrock/us.anthropic.claude-opus-4-8"
_TIMEOUT = 3600.0  # the gateway has time limits of its own
_LEFTOVER_TIMEOUT = 1.0
_UNUSED = "nothing of it is used until it is fixed"


class App:
    """LiteLLM's application. Creating it imports LiteLLM, which takes seconds; `run` serves until `stop`."""

    def __init__(self, settings: EngineSettings, key: str, keys: Callable[[], Awaitable[AwsKeys]]) -> None:
        warnings.simplefilter("ignore")  # of LiteLLM's dependencies, now and later: nobody here can fix them
        context = settings.egress.context()
        proxies = for_libraries(settings.egress, settings.bedrock_url)
        socks = settings.egress.socks_proxy()
        self._bridge = SocksBridge(socks) if socks is not None else None
        if self._bridge is not None:
            proxies |= dict.fromkeys(("HTTPS_PROXY", "https_proxy"), self._bridge.url)
        withheld = environment.prepare(os.environ, proxies)
        patches.silence_loggers()
        with patches.short_of_large_files(counts_tokens=settings.config is not None):
            import botocore.eventstream  # noqa: F401 - LiteLLM loads it with the first stream
            import litellm
            import litellm.proxy.proxy_server as proxy
            import uvicorn

        from claude_gatewayd.worker.engine.hooks import Hooks
        from claude_gatewayd.worker.engine.middleware import AccessMiddleware
        from claude_gatewayd.worker.engine.model_map import ModelRegistry
        from claude_gatewayd.worker.engine.network import http_clients
        from claude_gatewayd.worker.engine.network import trust as engine_trust
        from claude_gatewayd.worker.engine.network.server import EventServer

        patches.silence_loggers()
        self._litellm, self._proxy, self._settings, self._key = litellm, proxy, settings, key
        self.user_config = read_user_config(settings.config, withheld)
        litellm.suppress_debug_info = True
        litellm.expose_router_debug_in_errors = False
        litellm.strip_anthropic_total_tokens = True
        litellm.telemetry = False
        # For openai/ models it would call /responses, which most servers with OpenAI's format do not have.
        litellm.use_chat_completions_url_for_anthropic_messages = True
        # Bedrock and Anthropic report the tokens of an answer. If there are no other upstreams, none need be counted:
        # loading the tokenizer holds the interpreter for 100 ms, and it would read every request that fails.
        litellm.disable_token_counter = not self.user_config.model_list
        # Its pings would hide a dead upstream; the gateway sends some itself. Not 0: what sends the pings also ends the
        # stream of a client that is gone.
        litellm.anthropic_sse_ping_interval_seconds = 1e9
        patches.keep_one_price_map()
        patches.allow_betas()
        patches.disable_retries()
        engine_trust.install(context)
        patches.require_finish_reason()
        patches.keep_to_chat_completions()
        http_clients.install_limits()
        http_clients.look_less_often()
        http_clients.limit_redaction()
        litellm.logging_callback_manager.add_litellm_callback(Hooks(settings, keys, ModelRegistry()))
        config = uvicorn.Config(
            AccessMiddleware(proxy.app, key),
            loop="none",
            lifespan="on",
            http="httptools",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=2,
            timeout_keep_alive=300,
        )
        self._server = EventServer(config)
        self._server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]  # the worker's

    def run(self, ready: Callable[[], None]) -> str:
        """Serve until `stop`; call *ready* when serving. Returns why it ended."""
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            self._loop.set_exception_handler(_log_loop_error)
            try:
                return runner.run(self._serve(ready))
            except Exception as error:
                logger.debug("LiteLLM has ended", exc_info=True)
                return describe_exception(error)

    def accept(self, sock: socket.socket) -> None:
        """Serve a connection that another thread has made. Raises RuntimeError if `run` has ended."""
        # As uvicorn's own `startup` does for what its sockets accept.
        server = self._server
        protocol: Callable[..., asyncio.Protocol] = server.config.http_protocol_class
        connect = functools.partial(
            protocol, config=server.config, server_state=server.server_state, app_state=server.lifespan.state
        )
        serving = self._loop.connect_accepted_socket(connect, sock)
        try:
            asyncio.run_coroutine_threadsafe(serving, self._loop)
        except RuntimeError:
            serving.close()
            raise

    def takes_turn(self, call: Callable[[], None]) -> bool:
        """Have its loop make a call in its next turn, whenever that is. Return False if it has ended."""
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            return False
        return True

    def price_of(self, model: str) -> Price | None:
        """Return what a model of the person's own costs. Called by the worker's thread, it reads only."""
        return self.user_config.price_of(model, self._litellm.model_cost)

    def stop(self) -> None:
        """Ask it to stop, from another thread."""
        self._server.stop()

    async def _serve(self, ready: Callable[[], None]) -> str:
        if self._bridge is not None:
            # Cancelled below, with what LiteLLM leaves behind.
            self._bridging = asyncio.create_task(self._bridge.serve())
        await self._configure()
        os.environ[_MASTER_KEY] = self._key  # its start-up reads the key from there only
        try:
            serving = asyncio.create_task(self._uvicorn())
            await asyncio.wait(
                (serving, asyncio.create_task(self._server.is_started.wait())), return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            del os.environ[_MASTER_KEY]
        if not serving.done():
            await self._warm_up()
            self._register_callbacks()
            ready()
        why = await serving
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in left:  # LiteLLM's own background tasks
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_LEFTOVER_TIMEOUT)
        return why

    async def _uvicorn(self) -> str:
        try:
            await self._server.serve(sockets=[])
        except SystemExit:  # uvicorn's way to say that the application did not start
            return "its application did not start (LITELLM_LOG=DEBUG shows why)"
        return "it was stopped"

    async def _configure(self) -> None:
        """Load the configuration as LiteLLM's own start-up does."""
        user_config = self.user_config
        for key in [key for key in user_config.litellm_settings if callable(getattr(self._litellm, key, None))]:
            self._leave_out(key, "it is the name of a part of LiteLLM's program")
        try:
            await self._load(user_config.model_list, user_config.litellm_settings)
        except Exception as error:  # anything that a person's entry can cause: other models must not suffer
            if not user_config.model_list and not user_config.litellm_settings:
                raise
            logger.debug("LiteLLM does not take %s: %s", self._settings.config, describe_rejection(error))
            await self._load_one_by_one()
        served = self._proxy.llm_router.get_model_names()
        for entry in [entry for entry in user_config.model_list if entry["model_name"] not in served]:
            self._leave_out(entry, "LiteLLM does not know the provider, or the entry is not complete")
        self._proxy.user_custom_auth = self._auth

    async def _load_one_by_one(self) -> None:
        """Try each setting and each model by itself. What LiteLLM does not take is reported and left out."""
        user_config, unset = self.user_config, object()
        for key, value in list(user_config.litellm_settings.items()):
            was = getattr(self._litellm, key, unset)
            try:
                await self._load([], {key: value})
            except Exception as error:
                self._leave_out(key, describe_rejection(error))
                if was is not unset:
                    setattr(self._litellm, key, was)
                elif hasattr(self._litellm, key):
                    delattr(self._litellm, key)
        for entry in list(user_config.model_list):
            try:
                await self._load([entry], {})
            except Exception as error:
                self._leave_out(entry, describe_rejection(error))
        try:
            await self._load(user_config.model_list, user_config.litellm_settings)
        except Exception as error:  # each is accepted alone, but not all together
            user_config.refuse(str(user_config.file), f"LiteLLM does not take it: {describe_rejection(error)}", _UNUSED)
            user_config.model_list, user_config.litellm_settings = [], {}
            await self._load([], {})

    def _leave_out(self, what: str | dict[str, Any], why: str) -> None:
        """Leave out a setting, by its key, or an entry of the model list, and report it."""
        user_config, message = self.user_config, f"LiteLLM does not take it: {why}"
        if isinstance(what, str):
            del user_config.litellm_settings[what]
            user_config.refuse(
                user_config.where(what), message, "the other settings are used; fix it, then: claude-gatewayctl reload"
            )
        else:
            user_config.model_list.remove(what)
            name = what["model_name"]
            hint = "the other models are served; fix it, then: claude-gatewayctl reload"
            user_config.refuse(user_config.where("model_name", name), f'"{name}": {message}', hint)

    async def _load(self, model_list: list[dict[str, Any]], litellm_settings: dict[str, Any]) -> None:
        proxy = self._proxy
        document = _document(self._settings, model_list, litellm_settings, self._key)

        async def our_config(config_file_path: str | None = None) -> dict[str, Any]:  # noqa: ARG001 - by this name
            return copy.deepcopy(document)

        proxy.proxy_config._get_config_from_file = our_config
        with contextlib.redirect_stdout(io.StringIO()):  # it prints the names of the models, in green
            loaded = await proxy.proxy_config.load_config(router=None, config_file_path="claude-gateway")
        router, models, general = loaded
        if proxy.llm_router is not None:
            proxy.llm_router.discard()  # it has registered callbacks of its own
        proxy.llm_router, proxy.llm_model_list, proxy.general_settings = router, models, general
        proxy.master_key = self._key

    async def _auth(self, request: Any, api_key: str) -> Any:  # noqa: ARG002 - LiteLLM's signature
        """Let only the gateway in. An exception that is not LiteLLM's own becomes a 500 (it looks for prisma)."""
        from litellm.proxy._types import ProxyException, UserAPIKeyAuth

        if not hmac.compare_digest(api_key.encode(), self._key.encode()):
            raise ProxyException(message="not the gateway", type="auth_error", param=None, code=401)
        return UserAPIKeyAuth(api_key="gateway")

    def _register_callbacks(self) -> None:
        """Register the person's callbacks: after the warm-up, which is nobody's request."""
        from claude_gatewayd.worker.engine.callbacks import load_error

        for key, callback in self.user_config.loaded:
            if isinstance(callback, str) and (failed := load_error(key, callback)):
                self.user_config.add_failed_callback(callback, failed.why, failed.hint)
            elif key == "callbacks":
                self._litellm.logging_callback_manager.add_litellm_callback(callback)
            elif key == "success_callback":
                self._litellm.logging_callback_manager.add_litellm_success_callback(callback)
            else:
                self._litellm.logging_callback_manager.add_litellm_failure_callback(callback)

    async def _warm_up(self) -> None:
        """Exercise each route once, within this machine: otherwise the first request loads a third of LiteLLM."""
        messages = [{"role": "user", "content": "warming up"}]
        try:
            await self._proxy.llm_router.aanthropic_messages(
                model=_WARM, messages=messages, max_tokens=1, mock_response="hi"
            )
        except Exception as error:
            logger.debug("warming up: %s: %s", type(error).__name__, error)
        # A mock stays within the router, and the application accepts none. So each route is exercised up to the
        # connection, to a port where nobody listens, with invalid keys.
        with socket.create_server(("127.0.0.1", 0)) as bound:
            nowhere = f"http://127.0.0.1:{bound.getsockname()[1]}"
        for path, model in (("/v1/messages", _WARM), ("/v1/chat/completions", "claude-opus-4-8")):
            for stream in (False, True):
                request = {"model": model, "messages": messages, "max_tokens": 1, "stream": stream}
                await self._call_application(path, request, nowhere)

    async def _call_application(self, path: str, request: dict[str, Any], nowhere: str) -> None:
        """Send a request to the application by ASGI. Its upstream is at *nowhere*."""
        current_request.set(RequestContext(nowhere=nowhere))
        body = json.dumps(request).encode()
        unread = [{"type": "http.request", "body": body, "more_body": False}]
        ended = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if unread:
                return unread.pop()
            await ended.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                logger.debug("warming up %s: %d", path, message["status"])

        headers = [
            (b"authorization", f"Bearer {self._key}".encode()),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ]
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers,
            "client": None, "server": None, "state": {},
        }  # fmt: skip
        try:
            await self._proxy.app(scope, receive, send)
        except Exception as error:
            logger.debug("warming up %s: %s: %s", path, type(error).__name__, error)
        finally:
            ended.set()


def _document(
    settings: EngineSettings, model_list: list[dict[str, Any]], litellm_settings: dict[str, Any], key: str
) -> dict[str, Any]:
    """Return the configuration for LiteLLM. Retries, cool-downs and fallbacks are left to the gateway."""
    loopback = {"model": "anthropic/claude-*", "api_base": settings.loopback, "api_key": "ticket"}
    return {
        "model_list": [
            {"model_name": "bedrock/*", "litellm_params": {"model": "bedrock/*"}},
            {"model_name": "claude-*", "litellm_params": loopback},
            *model_list,
        ],
        "litellm_settings": {"num_retries": 0, "request_timeout": _TIMEOUT, "drop_params": True, **litellm_settings},
        "router_settings": {
            "num_retries": 0,
            "disable_cooldowns": True,
            "timeout": _TIMEOUT,
            "stream_timeout": _TIMEOUT,
            "enable_pre_call_checks": False,
        },
        "general_settings": {
            "master_key": key,
            "disable_model_info_refresh": True,
            "disable_spend_logs": True,
            "background_health_checks": False,
            "store_model_in_db": False,
        },
    }


def _log_loop_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log little of a task that LiteLLM lost, or of a session that it left open: their text may hold keys."""
    logger.debug("LiteLLM: %s (%s)", context.get("message"), type(context.get("exception")).__name__)
