"""Each provider's words for a request that is too long, in the words that Claude Code acts on."""

import pytest

from claude_gatewayd.anthropic.context_length import for_claude_code
from tests.support.effort import effort

PROMPT = "prompt is too long: 130001 tokens > 128000 maximum"
TOLD = {
    "anthropic": ("litellm.BadRequestError: AnthropicException - {'message': '" + PROMPT + "'}", PROMPT),
    "openai": (
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 130001 tokens. "
        "Please reduce the length of the messages.",
        PROMPT,
    ),
    "openai-newer": (
        "Input tokens exceed the configured limit of 128000 tokens. Your messages resulted in 130001 tokens.",
        PROMPT,
    ),
    "vllm": (
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4000 in the messages, "
        "1000 in the completion). Please reduce the length of the messages or completion.",
        "input length and `max_tokens` exceed context limit: 4000 + 1000 > 4096",
    ),
    "vllm-prompt": (
        "This model's maximum context length is 4096 tokens. However, you requested 6000 tokens (5000 in the messages, "
        "1000 in the completion).",
        "prompt is too long: 5000 tokens > 4096 maximum",
    ),
    "vllm-newer": (
        "This model's maximum context length is 128000 tokens. However, your request has 130001 input tokens.",
        PROMPT,
    ),
    "gemini": ("The input token count (130,001) exceeds the maximum number of tokens allowed (128,000).", PROMPT),
    "xai": ("This model's maximum prompt length is 128000 but the request contains 130001 tokens.", PROMPT),
    "mistral": ("Prompt contains 130001 tokens ... too large for model with 128000 maximum context length", PROMPT),
    "llama.cpp": ("the request (130001 tokens) exceeds the available context size (128000 tokens), try it", PROMPT),
    "bedrock": ("Input is too long for requested model.", "prompt is too long: Input is too long for requested model."),
    "groq": ("Please reduce the length of the messages or completion.",
             "prompt is too long: Please reduce the length of the messages or completion."),
    "litellm": ("litellm.ContextWindowExceededError: no", "prompt is too long: litellm.ContextWindowExceededError: no"),
}  # fmt: skip


@pytest.mark.parametrize("who", TOLD)
def test_too_long(who: str) -> None:
    message, expected = TOLD[who]
    assert for_claude_code(message) == expected
    assert for_claude_code(f"litellm.BadRequestError: X - {message} Y") is not None


@pytest.mark.parametrize(
    "message", ["", "Overloaded", "max_tokens is too large: 9", "the file name is too long", "model"]
)
def test_something_else(message: str) -> None:
    assert for_claude_code(message) is None


def test_a_text_of_any_length_takes_no_time() -> None:
    with effort() as spent:
        for text in ("1" * 10**6, "Prompt contains 1 tokens " * 10**5, "maximum context length is 1 tokens " * 10**5):
            for_claude_code(text)
    assert spent.amount < 50
