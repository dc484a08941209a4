"""What LiteLLM asks us while it works on a request: with which keys, and what it has to tell of a failure."""

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
from claude_gatewayd.bedrock.errors import BedrockFailure, no_keys
from claude_gatewayd.worker.engine.chat import request as chat_request
from claude_gatewayd.worker.engine.chat.thinking import ThinkingRecorder, ThinkingStore
from claude_gatewayd.worker.engine.model_map import ModelRegistry
from claude_gatewayd.worker.engine.request_context import current_request
from claude_gatewayd.worker.engine.settings import EngineSettings

_OF_AWS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_profile_name", "aws_role_name",
           "aws_session_name", "aws_web_identity_token", "api_key")  # fmt: skip
_DEEPEST = 8  # of exceptions that were raised from one another


class Hooks(CustomLogger):  # type: ignore[misc]  # LiteLLM is not looked into by mypy
    """Registered once, as an object. Never keeps, or writes, what it is given: there are keys in it."""

    def __init__(self, settings: EngineSettings, keys: Callable[[], Awaitable[AwsKeys]], models: ModelRegistry) -> None:
        super().__init__()
        self._settings = settings
        self._keys = keys
        self._models = models
        self._thoughts = ThinkingStore()

    async def async_pre_call_deployment_hook(
        self, kwargs: dict[str, Any], call_type: Any = None, *_: Any
    ) -> dict[str, Any]:
        """Give a call what it needs, just before it is made: AWS keys, or the caller's ticket; and put it right."""
        if getattr(call_type, "value", "") == "acompletion" and _is_of_claude(kwargs):
            self._put_right(kwargs)
        model = str(kwargs.get("model", ""))
        provider = kwargs.get("custom_llm_provider")  # None for chat
        context = current_request.get()
        if context is not None and context.nowhere:
            kwargs |= {"api_base": context.nowhere, "api_key": "none"}
            if provider == "bedrock" or model.startswith("bedrock/"):
                del kwargs["api_base"], kwargs["api_key"]
                kwargs |= dict.fromkeys(("aws_access_key_id", "aws_secret_access_key", "aws_session_token"), "none")
                kwargs |= {"aws_bedrock_runtime_endpoint": context.nowhere, "aws_region_name": self._settings.region}
        elif kwargs.get("api_base") == self._settings.loopback:
            kwargs["api_key"] = context.ticket if context is not None else ""
        elif kwargs.get("mock_response") is not None:
            pass
        elif context is None or not context.spends:
            # Whatever a body can make of LiteLLM's router: without the gateway's word it leads nowhere else.
            raise PermissionError("this request is for Claude's models at Anthropic alone")
        elif provider == "bedrock" or model.startswith("bedrock/"):
            self._models.know(model)
            if context.model_id:
                kwargs["model_id"] = context.model_id
            if not any(kwargs.get(name) for name in _OF_AWS):  # a deployment of the person's may have keys of its own
                await self._sign(kwargs)
            if kwargs.get("aws_access_key_id") and kwargs.get("aws_session_token") is None:
                kwargs["aws_session_token"] = ""  # none: what is missing LiteLLM takes from the environment
            region = kwargs.get("aws_region_name") or self._settings.region
            context.api_base = _where(
                kwargs.get("aws_bedrock_runtime_endpoint") or f"https://bedrock-runtime.{region}.amazonaws.com"
            )
        else:
            context.api_base = _where(kwargs.get("api_base"))
        return kwargs

    def _put_right(self, kwargs: dict[str, Any]) -> None:
        """Change a request for chat completions so that LiteLLM makes the right one of it. Raises BadRequestError."""
        model = str(kwargs.get("model", ""))
        try:
            kwargs |= chat_request.as_json_object(kwargs)
        except chat_request.CannotBeAsked as problem:
            from litellm.exceptions import BadRequestError

            raise BadRequestError(str(problem), model=model, llm_provider="anthropic") from None
        messages = kwargs.get("messages")
        if not isinstance(messages, list) or not all(isinstance(message, Mapping) for message in messages):
            return
        messages = chat_request.without_empty_texts(messages)
        context = current_request.get()
        if context is not None and context.caller:
            context.listener = ThinkingRecorder(self._thoughts, context.caller)
        if context is not None and chat_request.thinks(kwargs):
            known = {ids: self._thoughts.of(context.caller, ids) for ids in chat_request.unthought(messages)}
            messages = chat_request.with_thinking(messages, {ids: blocks for ids, blocks in known.items() if blocks})
            if chat_request.begins_unthought(messages) and _takes_budget(kwargs, model):
                kwargs.pop("thinking", None)  # for this turn: it would be refused, and cannot be made to have thought
                kwargs.pop("reasoning_effort", None)
        kwargs["messages"] = messages

    async def _sign(self, kwargs: dict[str, Any]) -> None:
        try:
            keys = await self._keys()
        except (KeysUnavailable, TimeoutError) as error:
            context = current_request.get()
            if context is not None:
                if isinstance(error, TimeoutError):
                    error = KeysUnavailable("AWS credentials did not come in time", passing=True)
                context.trouble = no_keys(error, passing=error.passing)
            raise
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
        """Note what went wrong, in the upstream's own words."""
        context = current_request.get()
        if context is not None and context.trouble is None:
            context.trouble = trouble_of(original_exception)


def _is_of_claude(kwargs: Mapping[str, Any]) -> bool:
    model = str(kwargs.get("model", ""))
    return "claude" in model or model.startswith("anthropic/") or kwargs.get("custom_llm_provider") == "anthropic"


def _takes_budget(kwargs: Mapping[str, Any], model: str) -> bool:
    """Say whether thinking goes by a budget: asked for so, or by an effort that LiteLLM turns into one."""
    thinking = kwargs.get("thinking")
    if isinstance(thinking, Mapping):
        return thinking.get("type") == "enabled"
    return features.TABLE[bedrock_models.family_of(model)].thinking not in ("adaptive", "either")


def _where(url: Any) -> str:
    """Return a URL without what may be a secret in it."""
    try:
        parts = urlsplit(str(url or ""))
    except ValueError:
        return ""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those that it was raised from."""
    seen: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    while todo and len(seen) < _DEEPEST:
        this = todo.pop(0)
        if this is None or this in seen:
            continue
        seen.append(this)
        todo += [this.__cause__, this.__context__, getattr(this, "original_exception", None)]
        yield this


def trouble_of(error: BaseException) -> BedrockFailure:
    """Find the upstream's own answer among exceptions that LiteLLM has raised from one another."""
    found = BedrockFailure("", 0, "")
    chain = list(_chain(error))
    for this in chain:
        if isinstance(this, ssl.SSLCertVerificationError):
            return BedrockFailure("Certificate", 503, "")
        if type(this).__name__ in _AT_THE_PROXY:
            return BedrockFailure("Proxy", 503, "")
    for this in chain:
        name = type(this).__name__
        if name in _UNREACHABLE:
            return BedrockFailure("Unreachable", 503, "")
        if name in _BROKEN or _is_of_a_success(this):
            return BedrockFailure("Broken", 502, "")
        if name == "BedrockError" or (not found.status and hasattr(this, "status_code")):
            status = getattr(this, "status_code", 0)
            message = str(getattr(this, "message", "") or this)
            kind, text = _words(message)
            response = getattr(this, "response", None)
            header = getattr(response, "headers", {}).get("x-amzn-errortype", "") if response is not None else ""
            kind = kind or header.partition(":")[0].rpartition("#")[2]
            if status == 400 and not getattr(this, "headers", None) and (kind or not text) and kind not in _OF_REQUESTS:
                status = 502  # botocore gives an event of a stream that its model does not have as a 400
            if isinstance(status, int) and (name == "BedrockError" or not found.status):
                found = BedrockFailure(kind or found.kind, status, text)
            if name == "BedrockError" and kind:
                return found
            if _CUT.match(message):
                return BedrockFailure("Broken", 502, "")
    return found


# httpx, aiohttp, botocore: nobody was there, or the answer broke.
_UNREACHABLE = frozenset(("ConnectError", "ConnectTimeout", "ClientConnectorError", "ClientConnectorDNSError",
                          "EndpointConnectionError", "ConnectionRefusedError", "gaierror"))  # fmt: skip
_AT_THE_PROXY = frozenset(("ProxyError", "ClientHttpProxyError", "ClientProxyConnectionError"))
_BROKEN = frozenset(("ReadError", "RemoteProtocolError", "ChecksumMismatch", "ServerDisconnectedError",
                     "ClientPayloadError", "ConnectionResetError", "IncompleteRead", "InvalidHeadersLength",
                     "InvalidPayloadLength"))  # fmt: skip


def _is_of_a_success(error: BaseException) -> bool:
    """Say whether LiteLLM has failed over the body of an answer that came with 200."""
    status = getattr(error, "status_code", None)
    return (isinstance(status, int) and 200 <= status < 300) or (
        isinstance(error, TypeError) and "AnthropicMessagesResponse" in str(error)
    )


_OF_REQUESTS = ("validationException", "ValidationException")
_EXCEPTION = re.compile(r"(\w+Exception) *\Z")


# LiteLLM's own words for a stream that was cut or empty, with counts, ids and the first of its bytes in them.
_CUT = re.compile("Bedrock (?:stream ended|answered the stream) with ")


def _words(message: str) -> tuple[str, str]:
    """Return the kind, where it is said, and the upstream's own message out of LiteLLM's."""
    at = message.find("{")
    if at >= 0:
        try:
            said, _end = json.JSONDecoder().raw_decode(message[at:])
        except (ValueError, RecursionError):
            said = None
        if isinstance(said, dict):
            # In mid-stream LiteLLM writes the exception's name before its text: modelStreamErrorException {...}
            kind = str(said.get("__type", "")).rpartition("#")[2]
            before = _EXCEPTION.search(message[:at])
            kind = kind or (before[1] if before is not None else "")
            for key in ("message", "Message", "originalMessage"):
                if isinstance(said.get(key), str):
                    return kind, said[key]
            inner = said.get("error")
            if isinstance(inner, dict) and isinstance(inner.get("message"), str):
                return str(inner.get("type", kind)), inner["message"]
    return "", message
