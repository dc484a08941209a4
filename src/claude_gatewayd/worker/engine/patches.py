"""What is changed in LiteLLM itself, where none of its settings would do. Listed in app.py, for a new version."""

import contextlib
import json
import logging
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, Final

import msgspec

from claude_gatewayd.bedrock import features
from claude_gatewayd.worker.engine.request_context import current_request

_PAGES: Final = "_lazy_openapi_snapshot.json"  # proxy/_lazy_openapi_snapshot.py: of documentation pages, which are off
_TOKENIZER: Final = "anthropic_tokenizer.json"  # utils.py:285, which keeps it parsed (14 MB) and as text (2 MB)
_LARGE: Final = 1_000_000  # bytes of JSON: the price map has three million, and nothing else so many
_LOGGERS = ("LiteLLM", "LiteLLM Proxy", "LiteLLM Router", "httpx", "uvicorn", "openai")


@contextlib.contextmanager
def short_of_large_files(*, counts_tokens: bool) -> Iterator[None]:
    """Have it find nothing in two files of 2 MB while it is imported, and parse a third one in pieces.

    Of the two the tokenizer is needed to count tokens. Parsing it holds the interpreter for 52 ms, writing it again for
    27, the other for 16, and the third, the price map, for 18: the relay waits.
    """
    left_out = {_PAGES} if counts_tokens else {_PAGES, _TOKENIZER}
    load, loads = json.load, json.loads

    def loads_in_pieces(text: str | bytes | bytearray, **options: Any) -> Any:
        if options or len(text) < _LARGE:
            return loads(text, **options)
        try:
            members = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        except msgspec.MsgspecError:  # it is no object
            return loads(text)
        return {name: msgspec.json.decode(member) for name, member in members.items()}

    def load_less(file: Any, **options: Any) -> Any:
        if PurePath(str(getattr(file, "name", ""))).name in left_out:
            return {}
        return load(file, **options)

    json.load, json.loads = load_less, loads_in_pieces  # type: ignore[assignment]
    try:
        yield
    finally:
        json.load, json.loads = load, loads


def keep_one_price_map() -> None:
    """Have it look into the price map that it has, where it would read the file again: twice 15 ms, and 5 MB each."""
    from litellm import utils
    from litellm.litellm_core_utils.get_model_cost_map import GetModelCostMap
    from litellm.llms.bedrock import common_utils as of_bedrock

    as_loaded = GetModelCostMap.loaded_model_cost_map  # without what is registered later
    utils.get_bundled_model_cost_map = utils._get_bundled_model_cost_map = as_loaded
    of_bedrock._get_local_model_cost_map = as_loaded


def allow_betas() -> None:
    """Let the betas pass that we have chosen: LiteLLM's own table drops interleaved thinking.

    LiteLLM uses one table for both the list in the body (llms/bedrock/messages/invoke_transformations/
    anthropic_claude3_transformation.py) and the header (llms/custom_httpx/llm_http_handler.py). So the two betas that
    Claude Code sends to Bedrock in the header only, claude-code-20250219 and effort-2025-11-24, cannot be passed on.
    """
    from litellm import anthropic_beta_headers_manager

    table = anthropic_beta_headers_manager._load_beta_headers_config()
    for provider in ("bedrock", "bedrock_converse"):
        table[provider] = {beta: beta for beta in features.BETAS}


def disable_retries() -> None:
    """Keep LiteLLM from retrying: after a 400 about a signature it would leave out the thinking, and nothing else.

    The request then fails for its thinking budget, and the error no longer mentions a signature.
    """
    from litellm.llms.bedrock.messages.invoke_transformations import anthropic_claude3_transformation as of_bedrock

    of_bedrock.AmazonAnthropicClaudeMessagesConfig.max_retry_on_anthropic_messages_http_error = 1


def require_finish_reason() -> None:
    """Make a stream that ends without a finish reason an error. LiteLLM would invent a "stop", as if it were complete.

    A stream is complete with a reason (finish_reason, stop_reason) or an end mark.
    """
    from litellm.exceptions import BadGatewayError
    from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper

    last_chunk = CustomStreamWrapper.finish_reason_handler

    def finish_reason_handler(self: Any) -> Any:
        context = current_request.get()
        reason = self.received_finish_reason or self.intermittent_finish_reason
        if self.custom_llm_provider in ("gemini", "vertex_ai_beta"):  # Gemini's, by Google's API and by Vertex
            reason = None  # LiteLLM sets one itself at the first chunk
        if not reason and context is not None and not context.ended:
            message = "its stream ended without a reason to finish"
            raise BadGatewayError(message, self.custom_llm_provider or "", self.model)
        return last_chunk(self)

    CustomStreamWrapper.finish_reason_handler = finish_reason_handler


def keep_to_chat_completions() -> None:
    """Ask `openai/` models by chat completions for a message with thinking, too.

    `use_chat_completions_url_for_anthropic_messages` covers only messages without (llms/anthropic/pass_through/
    adapters/handler.py:323), and most servers with OpenAI's format do not have /responses. OpenAI's own models that
    need it are still asked by it (main.py, responses_api_bridge_check).
    """
    from litellm.llms.anthropic.pass_through.adapters import handler

    def stay(completion_kwargs: Any, *, thinking: Any) -> None:
        """Leave the request as it is."""

    adapter = handler.LiteLLMMessagesToCompletionTransformationHandler
    adapter._route_openai_thinking_to_responses_api_if_needed = staticmethod(stay)


def silence_loggers() -> None:
    """Silence LiteLLM's loggers, which print requests at DEBUG, and have handlers of their own."""
    for name in _LOGGERS:
        logger_of_library = logging.getLogger(name)
        logger_of_library.setLevel(logging.CRITICAL)  # we log what matters
        logger_of_library.handlers.clear()
