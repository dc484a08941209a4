"""LiteLLM's proxy application: configured, with our hooks in it, served on a unix socket in this thread's loop.

By LiteLLM's documented surface: its application, custom auth, and CustomLogger's hooks; and some places of 1.106.2 that
are not (litellm/proxy/proxy_server.py, _get_config_from_file and its globals; anthropic_beta_headers_manager's table;
the number of tries in the configuration of Bedrock's messages; the reason that CustomStreamWrapper gives a stream to
finish; python_redact_string of secret_redaction).
"""

import asyncio
import contextlib
import copy
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
from claude_gatewayd.bedrock import features
from claude_gatewayd.network.egress import for_libraries
from claude_gatewayd.worker.engine import environment
from claude_gatewayd.worker.engine.network.bridge import SocksBridge
from claude_gatewayd.worker.engine.raised import describe
from claude_gatewayd.worker.engine.request_context import RequestContext, current_request
from claude_gatewayd.worker.engine.settings import EngineSettings
from claude_gatewayd.worker.engine.user_config import describe_rejection, read_user_config

logger = logging.getLogger(__name__)

_MASTER_KEY = "LITELLM_MASTER_KEY"
_WARM = "bedrock/us.anthropic.claude-opus-4-8"
_LONGEST = 3600.0  # the gateway has time limits of its own
_LEFT_OVER_WITHIN = 1.0
_UNUSED = "nothing of it is used until it is mended"
_LOGGERS = ("LiteLLM", "LiteLLM Proxy", "LiteLLM Router", "httpx", "uvicorn", "openai")


class App:
    """LiteLLM's application. Making one imports LiteLLM, which takes seconds; `run` serves until `stop`."""

    def __init__(self, settings: EngineSettings, key: str, keys: Callable[[], Awaitable[AwsKeys]]) -> None:
        warnings.simplefilter("ignore")  # of LiteLLM's dependencies, now and later: nobody here can mend them
        context = settings.egress.context()
        proxies = for_libraries(settings.egress, settings.bedrock_url)
        socks = settings.egress.socks_proxy()
        self._bridge = SocksBridge(socks) if socks is not None else None
        if self._bridge is not None:
            proxies |= dict.fromkeys(("HTTPS_PROXY", "https_proxy"), self._bridge.url)
        withheld = environment.prepare(os.environ, proxies)
        _hush()
        import botocore.eventstream  # noqa: F401 - LiteLLM loads it with the first stream
        import litellm
        import litellm.proxy.proxy_server as proxy
        import uvicorn

        from claude_gatewayd.worker.engine.hooks import Hooks
        from claude_gatewayd.worker.engine.middleware import AccessMiddleware
        from claude_gatewayd.worker.engine.model_map import ModelRegistry
        from claude_gatewayd.worker.engine.network import http_clients
        from claude_gatewayd.worker.engine.network import trust as engine_trust

        _hush()
        self._litellm, self._proxy, self._settings, self._key = litellm, proxy, settings, key
        self.own = read_user_config(settings.config, withheld)
        litellm.suppress_debug_info = True
        litellm.expose_router_debug_in_errors = False
        litellm.strip_anthropic_total_tokens = True
        litellm.telemetry = False
        # For models of openai/ it would ask /responses, which most servers that speak OpenAI's format do not have.
        litellm.use_chat_completions_url_for_anthropic_messages = True
        # Bedrock and Anthropic say what an answer took. Where there is nobody else to ask, nothing is guessed: loading
        # the tokenizer holds the interpreter for a tenth of a second, and it would read each request that failed.
        litellm.disable_token_counter = not self.own.model_list
        # Pings of its own would hide an upstream that is dead: a client's silences are broken by us. Not 0, for what
        # sends them also ends the stream of a client that has gone.
        litellm.anthropic_sse_ping_interval_seconds = 1e9
        _carry_betas()
        _try_once()
        engine_trust.believe(context)
        _invent_no_finish()
        http_clients.restrain()
        http_clients.restrain_redaction()
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
        self._server = uvicorn.Server(config)
        self._server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]  # the worker's

    def run(self, ready: Callable[[], None]) -> str:
        """Serve until `stop`. *ready* is called when it does. Returns why it ended."""
        with asyncio.Runner() as runner:
            runner.get_loop().set_exception_handler(_unheard)
            try:
                return runner.run(self._serve(ready))
            except Exception as error:
                logger.debug("LiteLLM has ended", exc_info=True)
                return describe(error)

    def stop(self) -> None:
        """Ask it to end, from another thread."""
        self._server.should_exit = True

    async def _serve(self, ready: Callable[[], None]) -> str:
        if self._bridge is not None:
            self._bridging = asyncio.create_task(self._bridge.serve())  # it ends with what LiteLLM leaves behind
        await self._configure()
        os.environ[_MASTER_KEY] = self._key  # its start-up reads it there, and nowhere else
        try:
            serving = asyncio.create_task(self._uvicorn())
            await asyncio.wait((serving, asyncio.create_task(self._started())), return_when=asyncio.FIRST_COMPLETED)
        finally:
            del os.environ[_MASTER_KEY]
        if not serving.done():
            await self._warm_up()
            self._register()
            ready()
        why = await serving
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in left:  # LiteLLM's own loops, which it leaves behind
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_LEFT_OVER_WITHIN)
        return why

    async def _uvicorn(self) -> str:
        try:
            await self._server.serve(sockets=[_listener(str(self._settings.socket))])
        except SystemExit:  # its word for "the application did not start"; not to reach the loop
            return "its application did not start (LITELLM_LOG=DEBUG shows why)"
        return "it has been ended"

    async def _started(self) -> None:
        while not self._server.started:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)

    async def _configure(self) -> None:
        """Hand LiteLLM its configuration, and take what it makes of it, as its own start-up does."""
        own = self.own
        for key in [key for key in own.litellm_settings if callable(getattr(self._litellm, key, None))]:
            self._leave_out(key, "it is the name of a part of LiteLLM's program")
        try:
            await self._load(own.model_list, own.litellm_settings)
        except Exception as error:  # whatever a person's entry can lead to: the others, and ours, must not suffer
            if not own.model_list and not own.litellm_settings:
                raise
            logger.debug("LiteLLM does not take %s: %s", self._settings.config, describe_rejection(error))
            await self._load_what_is_good()
        served = self._proxy.llm_router.get_model_names()
        for entry in [entry for entry in own.model_list if entry["model_name"] not in served]:
            self._leave_out(entry, "LiteLLM does not know the provider, or the entry is not complete")
        self._proxy.user_custom_auth = self._auth

    async def _load_what_is_good(self) -> None:
        """Try each setting and each model by itself. What LiteLLM does not take is told, and left out."""
        own, unset = self.own, object()
        for key, value in list(own.litellm_settings.items()):
            was = getattr(self._litellm, key, unset)
            try:
                await self._load([], {key: value})
            except Exception as error:
                self._leave_out(key, describe_rejection(error))
                if was is not unset:
                    setattr(self._litellm, key, was)
                elif hasattr(self._litellm, key):
                    delattr(self._litellm, key)
        for entry in list(own.model_list):
            try:
                await self._load([entry], {})
            except Exception as error:
                self._leave_out(entry, describe_rejection(error))
        try:
            await self._load(own.model_list, own.litellm_settings)
        except Exception as error:  # each is good, but not with the others
            own.refuse(str(own.file), f"LiteLLM does not take it: {describe_rejection(error)}", _UNUSED)
            own.model_list, own.litellm_settings = [], {}
            await self._load([], {})

    def _leave_out(self, what: str | dict[str, Any], why: str) -> None:
        """Leave out a setting, by its key, or an entry of the model list; and say so."""
        own, told = self.own, f"LiteLLM does not take it: {why}"
        if isinstance(what, str):
            del own.litellm_settings[what]
            own.refuse(own.where(what), told, "the other settings are used; mend it, then: claude-gatewayctl reload")
        else:
            own.model_list.remove(what)
            name = what["model_name"]
            hint = "the other models are served; mend it, then: claude-gatewayctl reload"
            own.refuse(own.where("model_name", name), f'"{name}": {told}', hint)

    async def _load(self, model_list: list[dict[str, Any]], litellm_settings: dict[str, Any]) -> None:
        proxy = self._proxy
        document = _document(self._settings, model_list, litellm_settings, self._key)

        async def given(config_file_path: str | None = None) -> dict[str, Any]:  # noqa: ARG001 - by this name
            return copy.deepcopy(document)

        proxy.proxy_config._get_config_from_file = given
        with contextlib.redirect_stdout(io.StringIO()):  # it prints the names of the models, in green
            loaded = await proxy.proxy_config.load_config(router=None, config_file_path="claude-gateway")
        router, models, general = loaded
        if proxy.llm_router is not None:
            proxy.llm_router.discard()  # it has callbacks of its own registered
        proxy.llm_router, proxy.llm_model_list, proxy.general_settings = router, models, general
        proxy.master_key = self._key

    async def _auth(self, request: Any, api_key: str) -> Any:  # noqa: ARG002 - LiteLLM's signature
        """Let the gateway in. Any other exception than LiteLLM's own would be a 500 (it looks for prisma)."""
        from litellm.proxy._types import ProxyException, UserAPIKeyAuth

        if not hmac.compare_digest(api_key.encode(), self._key.encode()):
            raise ProxyException(message="not the gateway", type="auth_error", param=None, code=401)
        return UserAPIKeyAuth(api_key="gateway")

    def _register(self) -> None:
        """Register the person's callbacks: behind the warming up, which is nobody's request."""
        from claude_gatewayd.worker.engine.callbacks import load_error

        for key, callback in self.own.loaded:
            if isinstance(callback, str) and (why := load_error(key, callback)):
                self.own.not_loaded(callback, why)
            elif key == "callbacks":
                self._litellm.logging_callback_manager.add_litellm_callback(callback)
            elif key == "success_callback":
                self._litellm.logging_callback_manager.add_litellm_success_callback(callback)
            else:
                self._litellm.logging_callback_manager.add_litellm_failure_callback(callback)

    async def _warm_up(self) -> None:
        """Take each way once, without leaving this machine: the first request would load a third of LiteLLM else."""
        messages = [{"role": "user", "content": "warming up"}]
        try:
            await self._proxy.llm_router.aanthropic_messages(
                model=_WARM, messages=messages, max_tokens=1, mock_response="hi"
            )
        except Exception as error:
            logger.debug("warming up: %s: %s", type(error).__name__, error)
        # A mock goes no further than the router, and the application takes none. So each way is taken up to a
        # connection, to a port that nobody listens on, with keys that are none.
        with socket.create_server(("127.0.0.1", 0)) as bound:
            nowhere = f"http://127.0.0.1:{bound.getsockname()[1]}"
        for path, model in (("/v1/messages", _WARM), ("/v1/chat/completions", "claude-opus-4-8")):
            for stream in (False, True):
                asked = {"model": model, "messages": messages, "max_tokens": 1, "stream": stream}
                await self._ask_ourselves(path, asked, nowhere)

    async def _ask_ourselves(self, path: str, asked: dict[str, Any], nowhere: str) -> None:
        """Make a request to the application itself, by ASGI, that ends at *nowhere*."""
        current_request.set(RequestContext(nowhere=nowhere))
        body = json.dumps(asked).encode()
        said = [{"type": "http.request", "body": body, "more_body": False}]
        ended = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if said:
                return said.pop()
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
    """Return the configuration that LiteLLM gets. Retries, cool-downs and fallbacks are the gateway's."""
    loopback = {"model": "anthropic/claude-*", "api_base": settings.loopback, "api_key": "ticket"}
    return {
        "model_list": [
            {"model_name": "bedrock/*", "litellm_params": {"model": "bedrock/*"}},
            {"model_name": "claude-*", "litellm_params": loopback},
            *model_list,
        ],
        "litellm_settings": {"num_retries": 0, "request_timeout": _LONGEST, "drop_params": True, **litellm_settings},
        "router_settings": {
            "num_retries": 0,
            "disable_cooldowns": True,
            "timeout": _LONGEST,
            "stream_timeout": _LONGEST,
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


def _carry_betas() -> None:
    """Let the betas pass that we have chosen: LiteLLM's own table drops interleaved thinking.

    By this one table it makes both the body's list (llms/bedrock/messages/invoke_transformations/
    anthropic_claude3_transformation.py) and the header (llms/custom_httpx/llm_http_handler.py). So the two betas that
    Claude Code sends Bedrock in the header alone, claude-code-20250219 and effort-2025-11-24, cannot be carried.
    """
    from litellm import anthropic_beta_headers_manager

    table = anthropic_beta_headers_manager._load_beta_headers_config()
    for provider in ("bedrock", "bedrock_converse"):
        table[provider] = {beta: beta for beta in features.BETAS}


def _try_once() -> None:
    """Let LiteLLM not try again by itself: after a 400 about a signature it would leave out the thinking, no more.

    A budget that is left in the request is then refused for want of it, in words that say nothing of a signature.
    """
    from litellm.llms.bedrock.messages.invoke_transformations import anthropic_claude3_transformation as of_bedrock

    of_bedrock.AmazonAnthropicClaudeMessagesConfig.max_retry_on_anthropic_messages_http_error = 1


def _invent_no_finish() -> None:
    """Let a stream that ends without having said why be an error: LiteLLM would give it a "stop", as if it were whole.

    What counts is a reason (finish_reason, stop_reason), or the mark of an end.
    """
    from litellm.exceptions import BadGatewayError
    from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper

    last_chunk = CustomStreamWrapper.finish_reason_handler

    def finish_reason_handler(self: Any) -> Any:
        context = current_request.get()
        told = self.received_finish_reason or self.intermittent_finish_reason
        if self.custom_llm_provider in ("gemini", "vertex_ai_beta"):  # Gemini's, by Google's API and by Vertex
            told = None  # LiteLLM has said so itself, of the first chunk
        if not told and context is not None and not context.ended:
            message = "its stream ended without a reason to finish"
            raise BadGatewayError(message, self.custom_llm_provider or "", self.model)
        return last_chunk(self)

    CustomStreamWrapper.finish_reason_handler = finish_reason_handler


def _listener(path: str) -> socket.socket:
    """Return a socket that listens at *path*, for us alone. What a worker of the same number left is removed."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    os.chmod(path, 0o600)  # not by umask, which is the whole process's; nobody else can enter the directory anyway
    listener.listen(128)
    listener.setblocking(False)
    return listener


def _unheard(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say little of a task that LiteLLM has lost, or a session that it left open: keys may be in what it was."""
    logger.debug("LiteLLM: %s (%s)", context.get("message"), type(context.get("exception")).__name__)


def _hush() -> None:
    """Let nobody but us write to the log: LiteLLM's loggers print requests at DEBUG, and have handlers of their own."""
    for name in _LOGGERS:
        theirs = logging.getLogger(name)
        theirs.setLevel(logging.CRITICAL)  # what matters of it, we say
        theirs.handlers.clear()
