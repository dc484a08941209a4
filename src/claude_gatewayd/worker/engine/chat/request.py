"""A chat completions request for a Claude model: what LiteLLM would translate wrongly is corrected before. Pure.

LiteLLM writes a sentence of its own where a text is empty (litellm_core_utils/prompt_templates/factory.py:2076), drops
`response_format: json_object`, and sends a turn with tools without the thinking that it began with.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

Message = Mapping[str, Any]
Arguments = Mapping[str, Any]

# By this name LiteLLM knows the call of a tool that is the answer itself, and gives its arguments as the text.
_JSON_TOOL: Final = "json_tool_call"
_ANY_OBJECT: Final = {"type": "object", "properties": {}, "additionalProperties": True}


class UnsupportedRequest(Exception):
    """A request asks for what Claude's models cannot do."""


def without_empty_texts(messages: Sequence[Message]) -> list[Message]:
    """Return the messages without empty texts, and without messages that have nothing else."""
    kept = []
    for message in messages:
        content = message.get("content")
        if message.get("role") not in ("user", "assistant") or content is None or not _has_empty(content):
            kept.append(message)
            continue
        rest = [part for part in content if not _is_empty(part)] if isinstance(content, list) else []
        if rest:
            kept.append({**message, "content": rest})
        elif message.get("tool_calls") or message.get("function_call") or message.get("thinking_blocks"):
            kept.append({**message, "content": None})
    return kept


def as_json_object(arguments: Arguments) -> dict[str, Any]:
    """Return the changes that make the answer a JSON object, if the request asks for one. Raises UnsupportedRequest.

    A tool that must be called does it, as it did before there were schemas. With other tools, or with thinking, no call
    can be forced.
    """
    asked = arguments.get("response_format")
    if not isinstance(asked, Mapping) or asked.get("type") != "json_object" or asked.get("response_schema"):
        return {}
    if arguments.get("tools") or wants_thinking(arguments):
        raise UnsupportedRequest(
            "Claude's models take response_format json_object only without tools and thinking; json_schema, with the "
            "schema of the object, goes with both"
        )
    about = "Give the whole answer by this, as the one JSON object that was asked for."
    tool = {"type": "function", "function": {"name": _JSON_TOOL, "description": about, "parameters": _ANY_OBJECT}}
    return {"tools": [tool], "tool_choice": {"type": "function", "function": {"name": _JSON_TOOL}}}


def wants_thinking(arguments: Arguments) -> bool:
    """Whether a request asks for thinking."""
    thinking = arguments.get("thinking")
    if isinstance(thinking, Mapping):
        return thinking.get("type") in ("enabled", "adaptive")
    return arguments.get("reasoning_effort") not in (None, "none")


def turns_without_thinking(messages: Sequence[Message]) -> list[tuple[str, ...]]:
    """Return the ids of the tool calls of each assistant turn that has no thinking."""
    return [ids for message in messages if (ids := _calls_without_thinking(message))]


def with_thinking(messages: Sequence[Message], thinking: Mapping[tuple[str, ...], Sequence[Message]]) -> list[Message]:
    """Return the messages with the thinking that their turns began with. *thinking* is keyed by tool call ids."""
    return [
        {**message, "thinking_blocks": list(thinking[ids])}
        if (ids := _calls_without_thinking(message)) in thinking
        else message
        for message in messages
    ]


def continues_without_thinking(messages: Sequence[Message]) -> bool:
    """Whether the current turn has tool calls but no thinking: Anthropic then refuses a thinking budget."""
    for message in reversed(messages):
        if message.get("role") == "user":
            return False
        if message.get("role") == "assistant":
            return bool(_calls_without_thinking(message))
    return False


def _calls_without_thinking(message: Message) -> tuple[str, ...]:
    calls = message.get("tool_calls")
    content = message.get("content")
    if message.get("role") != "assistant" or not isinstance(calls, list) or message.get("thinking_blocks"):
        return ()
    if isinstance(content, list) and any(isinstance(p, Mapping) and "thinking" in str(p.get("type")) for p in content):
        return ()
    return tuple(str(call.get("id")) for call in calls if isinstance(call, Mapping))


def _has_empty(content: Any) -> bool:
    return (
        any(map(_is_empty, content)) if isinstance(content, list) else isinstance(content, str) and not content.strip()
    )


def _is_empty(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "text" and not str(part.get("text") or "").strip()
