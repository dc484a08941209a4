"""What LiteLLM calls while it works on a request: for keys, for corrections, and when the request has failed."""

import json
import re
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from litellm.integrations.custom_logger import CustomLogger

from claude_gatewayd.aws.keys import AwsKeys, KeysUnavailable
from claude_gatewayd.bedrock import features
from claude_gatewayd.bedrock import models as bedrock_models
from claude_gatewayd.bedrock.errors import BedrockFailure, ErrorReply, error_reply, no_keys, status_in_stream
from claude_gatewayd.config import litellm_keys
from claude_gatewayd.config.model import usual_runtime_url
from claude_gatewayd.worker.engine.chat import request as chat_request
from claude_gatewayd.worker.engine.chat.thinking import ThinkingRecorder, ThinkingStore
from claude_gatewayd.worker.engine.model_map import ModelRegistry
from claude_gatewayd.worker.engine.request_context import current_request
from claude_gatewayd.worker.engine.settings import EngineSettings

_MAX_CHAIN = 8  # exceptions raised from one another


class _NotSigned(Exception):
    """A request that cannot be signed: LiteLLM answers one to a model of the person's own with this status and text."""

    def __init__(self, reply: ErrorReply) -> None:
        super().__init__(reply.message)
        self.status_code = reply.status


class Hooks(CustomLogger):  # type: ignore[misc]  # LiteLLM is not looked into by mypy
    """Our callbacks in LiteLLM. They never keep or log their arguments, which hold keys."""

    def __init__(self, settings: EngineSettings, keys: Callable[[], Awaitable[AwsKeys]], models: ModelRegistry) -> None:
        super().__init__()
        self._settings = settings
        self._keys = keys
        self._models = models
        self._thinking = ThinkingStore()

    async def async_pre_call_deployment_hook(
        self, kwargs: dict[str, Any], call_type: Any = None, *_: Any
    ) -> dict[str, Any]:
        """Complete a call just before it is made: AWS keys, or the caller's ticket, and what LiteLLM gets wrong."""
        if getattr(call_type, "value", "") == "acompletion" and _is_for_claude(kwargs):
            self._correct_chat_request(kwargs)
        model = str(kwargs.get("model", ""))
        provider = kwargs.get("custom_llm_provider")  # None for chat
        context = current_request.get()
        if context is not None and context.nowhere:
            kwargs |= {"api_base": context.nowhere, "api_key": "none"}
            if litellm_keys.is_at_bedrock(model, provider):
                del kwargs["api_base"], kwargs["api_key"]
                kwargs |= dict.fromkeys(("aws_access_key_id", "aws_secret_access_key", "aws_session_token"), "none")
                kwargs |= {"aws_bedrock_runtime_endpoint": context.nowhere, "aws_region_name": self._settings.region}
        elif kwargs.get("api_base") == self._settings.loopback:
            kwargs["api_key"] = context.ticket if context is not None else ""
        elif kwargs.get("mock_response") is not None:
            pass
        elif context is None or not context.may_spend:
            # Whatever a body makes LiteLLM's router do: without permission of the gateway it goes nowhere else.
            raise PermissionError("this request is for Claude's models at Anthropic alone")
        elif litellm_keys.is_at_bedrock(model, provider):
            self._models.register(model)
            if context.model_id:
                kwargs["model_id"] = context.model_id
            if litellm_keys.lacks_keys(kwargs):  # a person's model may have keys of its own
                await self._add_keys(kwargs)
            if kwargs.get("aws_access_key_id") and kwargs.get("aws_session_token") is None:
                kwargs["aws_session_token"] = ""  # None would make LiteLLM take it from the environment
            region = kwargs.get("aws_region_name") or self._settings.region
            context.api_base = _without_secrets(kwargs.get("aws_bedrock_runtime_endpoint") or usual_runtime_url(region))
        else:
            context.api_base = _without_secrets(kwargs.get("api_base"))
        return kwargs

    def _correct_chat_request(self, kwargs: dict[str, Any]) -> None:
        """Change a chat completions request so that LiteLLM translates it correctly. Raises BadRequestError."""
        model = str(kwargs.get("model", ""))
        try:
            kwargs |= chat_request.as_json_object(kwargs)
        except chat_request.UnsupportedRequest as problem:
            from litellm.exceptions import BadRequestError

            raise BadRequestError(str(problem), model=model, llm_provider="anthropic") from None
        messages = kwargs.get("messages")
        if not isinstance(messages, list) or not all(isinstance(message, Mapping) for message in messages):
            return
        messages = chat_request.without_empty_texts(messages)
        context = current_request.get()
        if context is not None and context.caller:
            context.recorder = ThinkingRecorder(self._thinking, context.caller)
        if context is not None and chat_request.wants_thinking(kwargs):
            known = {
                ids: self._thinking.of(context.caller, ids) for ids in chat_request.turns_without_thinking(messages)
            }
            messages = chat_request.with_thinking(messages, {ids: blocks for ids, blocks in known.items() if blocks})
            if chat_request.continues_without_thinking(messages) and _has_budget(kwargs, model):
                # For this turn: Anthropic refuses it without the thinking that the turn began with.
                kwargs.pop("thinking", None)
                kwargs.pop("reasoning_effort", None)
        kwargs["messages"] = messages

    async def _add_keys(self, kwargs: dict[str, Any]) -> None:
        try:
            keys = await self._keys()
        except (KeysUnavailable, TimeoutError) as error:
            if isinstance(error, TimeoutError):
                error = KeysUnavailable("AWS credentials did not come in time", passing=True)
            failure = no_keys(error, passing=error.passing)
            if (context := current_request.get()) is not None:
                context.failure = failure
            raise _NotSigned(error_reply(failure)) from None
        if keys.bearer:
            kwargs["api_key"] = keys.bearer
        else:
            kwargs["aws_access_key_id"] = keys.access_key
            kwargs["aws_secret_access_key"] = keys.secret_key
            if keys.session_token:
                kwargs["aws_session_token"] = keys.session_token
        kwargs.setdefault("aws_region_name", self._settings.region)
        if self._settings.endpoint:
            kwargs.setdefault("aws_bedrock_runtime_endpoint", self._settings.endpoint)

    async def async_post_call_failure_hook(
        self,
        request_data: dict[str, Any],  # noqa: ARG002 - LiteLLM's signature
        original_exception: Exception,
        *_: Any,
        **__: Any,
    ) -> None:
        """Note the failure, in the upstream's own words."""
        context = current_request.get()
        if context is not None and context.failure is None:
            failure = failure_of(original_exception)
            if context.streaming:
                failure = failure._replace(status=status_in_stream(failure.kind))
            context.failure = failure


def _is_for_claude(kwargs: Mapping[str, Any]) -> bool:
    model = str(kwargs.get("model", ""))
    return "claude" in model or model.startswith("anthropic/") or kwargs.get("custom_llm_provider") == "anthropic"


def _has_budget(kwargs: Mapping[str, Any], model: str) -> bool:
    """Whether the request sets a thinking budget, or an effort that LiteLLM turns into one."""
    thinking = kwargs.get("thinking")
    if isinstance(thinking, Mapping):
        return thinking.get("type") == "enabled"
    return features.TABLE[bedrock_models.family_of(model)].thinking not in ("adaptive", "either")


def _without_secrets(url: Any) -> str:
    """Return a URL without the parts that may hold a secret."""
    try:
        parts = urlsplit(str(url or ""))
    except ValueError:
        return ""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and its causes."""
    seen: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    while todo and len(seen) < _MAX_CHAIN:
        this = todo.pop(0)
        if this is None or this in seen:
            continue
        seen.append(this)
        todo += [this.__cause__, this.__context__, getattr(this, "original_exception", None)]
        yield this


def failure_of(error: BaseException) -> BedrockFailure:
    """Find the upstream's own error in a chain of LiteLLM's exceptions."""
    found = BedrockFailure("", 0, "")
    chain = list(_chain(error))
    for this in chain:
        if isinstance(this, ssl.SSLCertVerificationError):
            return BedrockFailure("Certificate", 503, "")
        if type(this).__name__ in _PROXY_ERRORS:
            return BedrockFailure("Proxy", 503, "")
        if type(this).__name__ in _RESET_ERRORS:
            return BedrockFailure("Broken", 502, "")
    for this in chain:
        name = type(this).__name__
        if name in _CONNECT_ERRORS:
            return BedrockFailure("Unreachable", 503, "")
        if name in _BROKEN_ERRORS or _is_bad_success(this):
            return BedrockFailure("Broken", 502, "")
        if name == "BedrockError" or (not found.status and hasattr(this, "status_code")):
            status = getattr(this, "status_code", 0)
            message = str(getattr(this, "message", "") or this)
            kind, text = _kind_and_message(message)
            response = getattr(this, "response", None)
            header = getattr(response, "headers", {}).get("x-amzn-errortype", "") if response is not None else ""
            kind = kind or header.partition(":")[0].rpartition("#")[2]
            if (
                status == 400
                and not getattr(this, "headers", None)
                and (kind or not text)
                and kind not in _REQUEST_ERRORS
            ):
                status = 502  # botocore reports an unknown event of a stream as a 400
            if isinstance(status, int) and (name == "BedrockError" or not found.status):
                found = BedrockFailure(kind or found.kind, status, text)
            if name == "BedrockError" and kind:
                return found
            if _STREAM_CUT.match(message):
                return BedrockFailure("Broken", 502, "")
    return found


# Exceptions of httpx, aiohttp and botocore: nobody answered, or the answer broke off.
_CONNECT_ERRORS = frozenset(("ConnectError", "ConnectTimeout", "ClientConnectorError", "ClientConnectorDNSError",
                          "EndpointConnectionError", "ConnectionRefusedError", "gaierror"))  # fmt: skip
_RESET_ERRORS = frozenset(("ClientOSError",))  # of a connection that there was; httpx makes it a ConnectError
_PROXY_ERRORS = frozenset(("ProxyError", "ClientHttpProxyError", "ClientProxyConnectionError"))
_BROKEN_ERRORS = frozenset(("ReadError", "RemoteProtocolError", "ChecksumMismatch", "ServerDisconnectedError",
                     "ClientPayloadError", "ConnectionResetError", "IncompleteRead", "InvalidHeadersLength",
                     "InvalidPayloadLength"))  # fmt: skip


def _is_bad_success(error: BaseException) -> bool:
    """Whether LiteLLM failed on the body of an answer with status 200."""
    status = getattr(error, "status_code", None)
    return (isinstance(status, int) and 200 <= status < 300) or (
        isinstance(error, TypeError) and "AnthropicMessagesResponse" in str(error)
    )


_REQUEST_ERRORS = ("validationException", "ValidationException")
_EXCEPTION = re.compile(r"(\w+Exception) *\Z")


# LiteLLM's message for a stream that was cut off or empty; counts, ids and the first bytes follow.
_STREAM_CUT = re.compile("Bedrock (?:stream ended|answered the stream) with ")


def _kind_and_message(message: str) -> tuple[str, str]:
    """Return the error's kind, "" if unknown, and the upstream's own message, out of LiteLLM's."""
    at = message.find("{")
    if at >= 0:
        try:
            document, _end = json.JSONDecoder().raw_decode(message[at:])
        except (ValueError, RecursionError):
            document = None
        if isinstance(document, dict):
            # Within a stream LiteLLM writes the name before the JSON: modelStreamErrorException {...}
            kind = str(document.get("__type", "")).rpartition("#")[2]
            before = _EXCEPTION.search(message[:at])
            kind = kind or (before[1] if before is not None else "")
            for key in ("message", "Message", "originalMessage"):
                if isinstance(document.get(key), str):
                    return kind, document[key]
            inner = document.get("error")
            if isinstance(inner, dict) and isinstance(inner.get("message"), str):
                return str(inner.get("type", kind)), inner["message"]
    return "", message
