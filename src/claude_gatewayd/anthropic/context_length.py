"""Errors about a request that exceeds a model's context: each provider's message, and those Claude Code acts on. Pure.

Claude Code compacts the conversation at "prompt is too long: N tokens > M maximum", and asks for a shorter answer at
"input length and `max_tokens` exceed context limit: I + O > M" (measured with 2.1.330). Others it only shows.
"""

import re
from typing import Final

# These patterns are compiled when an error is the first to need them: a start should not wait for it.
_N: Final = r"(\d[\d,]*)"
# Groups: what was asked for, in tokens, and what the model takes; by who says so.
_PROMPTS: Final = (
    (rf"prompt is too long: {_N} tokens? > {_N} maximum", 1, 2),  # Anthropic
    (rf"maximum context length is {_N} tokens\.? However, your messages resulted in {_N} tokens", 2, 1),  # OpenAI
    (rf"limit of {_N} tokens\.? Your messages resulted in {_N} tokens", 2, 1),  # OpenAI, since GPT-5
    (rf"input token count \(?{_N}\)? exceeds the maximum number of tokens allowed \(?{_N}\)?", 1, 2),  # Gemini
    (rf"maximum prompt length is {_N} but the request contains {_N} tokens", 2, 1),  # xAI
    (rf"Prompt contains {_N} tokens .*?{_N} maximum context length", 1, 2),  # Mistral
    (rf"request \({_N} tokens\) exceeds the available context size \({_N} tokens\)", 1, 2),  # llama.cpp
    (rf"maximum context length is {_N} tokens\.? However, your request has {_N} input tokens", 2, 1),  # vLLM, newer
)
# vLLM, and OpenAI of old: what the answer may take is counted too. Groups: what is taken, prompt, answer.
_WITH_ANSWER: Final = (
    rf"(?is)maximum context length is {_N} tokens.*?requested {_N} tokens "
    rf"\({_N} in the messages, {_N} in the completion\)"
)
# By a name or a sentence without numbers: LiteLLM's class, OpenAI's code, Bedrock's, Groq's, Ollama's and others'.
_OTHER_MESSAGES: Final = (
    r"(?i)context_length_exceeded|ContextWindowExceededError|exceed_context_size|input is too long|prompt is too long"
    r"|maximum context length|reduce the length of the (?:messages|prompt)|exceeds the (?:available )?context"
    r"|context (?:window|length) (?:is )?exceeded"
)
_MAX_SEARCHED: Final = 8000


def for_claude_code(message: str) -> str | None:
    """Convert an error message to one that Claude Code acts on. Return None where it is not about the length."""
    text = message[:_MAX_SEARCHED]
    if (both := re.search(_WITH_ANSWER, text)) is not None:
        most, _asked, prompt, answer = (_number(group) for group in both.groups())
        if prompt < most:
            return f"input length and `max_tokens` exceed context limit: {prompt} + {answer} > {most}"
        return f"prompt is too long: {prompt} tokens > {most} maximum"
    for pattern, asked, most_at in _PROMPTS:
        if (found := re.search(pattern, text, re.IGNORECASE)) is not None:
            return f"prompt is too long: {_number(found[asked])} tokens > {_number(found[most_at])} maximum"
    if re.search(_OTHER_MESSAGES, text) is not None:
        return f"prompt is too long: {text[:500]}"
    return None


def _number(text: str) -> int:
    return int(text.replace(",", ""))
