"""An answer that is bound to a JSON schema, of a model that Bedrock cannot bind to one: by a tool, and back. Pure.

The tool is the only one, its input has the schema, and what the model calls it with is the answer. Nothing that does
not fit the schema is passed on.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

Json = Any  # what json.loads gives

_TOOL: Final = "answer"
_DESCRIPTION: Final = "Give the answer. The input is the whole answer; there is no result."
_ORDER: Final = f"Answer with one call of the tool `{_TOOL}`, and with nothing else: no text before it, none after it."
_NOT_AT_TOP: Final = ("$ref", "oneOf", "anyOf", "allOf")  # Anthropic and Bedrock refuse such an input of a tool
_PATTERN_WITHIN: Final = 1.0  # seconds
_CUT: Final = ("max_tokens", "model_context_window_exceeded", "refusal")  # then nobody promises a whole answer


def format_of(body: Mapping[str, Json]) -> Json:
    """Return the output format that a request asks for, in today's field or in the older one."""
    config = body.get("output_config")
    wanted = config.get("format") if isinstance(config, dict) else None
    return body.get("output_format") if wanted is None else wanted


def schema_of(wanted: Json) -> dict[str, Json] | None:
    """Return the schema of a format where it can be that of a tool's input; else None."""
    if not isinstance(wanted, dict):
        return None
    schema = wanted.get("schema")
    if wanted.get("type") != "json_schema" or not isinstance(schema, dict) or schema.get("type") != "object":
        return None
    return None if any(key in schema for key in _NOT_AT_TOP) else schema


def by_tool(body: Mapping[str, Json], schema: Mapping[str, Json], *, forced: bool) -> dict[str, Json]:
    """Ask for the answer as the call of a tool. A model that cannot be *forced* to call it is asked to."""
    tools = [{"name": _TOOL, "description": _DESCRIPTION, "input_schema": schema}]
    if forced:
        return {**body, "tools": tools, "tool_choice": {"type": "tool", "name": _TOOL}}
    system = body.get("system") or []
    blocks = [{"type": "text", "text": system}] if isinstance(system, str) else list(system)
    order = {"type": "text", "text": _ORDER}
    return {**body, "tools": tools, "tool_choice": {"type": "auto"}, "system": [*blocks, order]}


def as_asked(message: Mapping[str, Json], schema: Mapping[str, Json]) -> dict[str, Json] | None:
    """Return a message with the call of the tool as its text; None: it has no answer that fits the schema."""
    content = message.get("content")
    blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    calls = [block.get("input") for block in blocks if block.get("type") == "tool_use" and block.get("name") == _TOOL]
    texts = [block.get("text") for block in blocks if block.get("type") == "text"]
    if calls:
        text = json.dumps(calls[0], ensure_ascii=False)
    else:
        text = "".join(text for text in texts if isinstance(text, str))
    reason = message.get("stop_reason")
    if reason not in _CUT and (len(calls) > 1 or not _fits(text, schema)):
        return None
    kept = [block for block in blocks if block.get("type") in ("thinking", "redacted_thinking")]
    answer = [{"type": "text", "text": text}] if text else []
    return {**message, "content": [*kept, *answer], "stop_reason": "end_turn" if reason == "tool_use" else reason}


def _fits(text: str, schema: Mapping[str, Json]) -> bool:
    # A tenth of a second to import, for the few answers that need it.
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend
    from referencing import Registry

    try:
        # A registry of its own: without one the library would fetch what a $ref names.
        validator = extend(Draft202012Validator, {"pattern": _not_matched})(schema, registry=Registry())
        return bool(validator.is_valid(json.loads(text)))
    except Exception:  # a schema that cannot be checked: a reference to nowhere, a pattern that is none, or takes long
        return False


def _not_matched(_validator: Any, pattern: str, value: Json, _schema: Json) -> Iterator[Exception]:
    """Check a value by a pattern, as the library does. Python's `re` would hold up all threads for hours."""
    import regex
    from jsonschema import ValidationError

    if isinstance(value, str) and not regex.search(pattern, value, concurrent=True, timeout=_PATTERN_WITHIN):
        yield ValidationError("it does not match")


def events(message: Mapping[str, Json]) -> bytes:
    """Return a whole message as the stream that Anthropic would have sent."""
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), json.dumps(event, separators=(",", ":")).encode())
        for event in _events(message)
    )


def _events(message: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    yield {"type": "message_start", "message": {**message, "content": [], "stop_reason": None, "stop_sequence": None}}
    for index, block in enumerate(message["content"]):
        start, deltas = _in_pieces(block)
        yield {"type": "content_block_start", "index": index, "content_block": start}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    delta = {"stop_reason": message.get("stop_reason"), "stop_sequence": message.get("stop_sequence")}
    yield {"type": "message_delta", "delta": delta, "usage": message.get("usage", {})}
    yield {"type": "message_stop"}


def _in_pieces(block: dict[str, Json]) -> tuple[dict[str, Json], list[dict[str, Json]]]:
    """Return how a block begins, and what is then added to it."""
    if block["type"] == "text":
        return {"type": "text", "text": ""}, [{"type": "text_delta", "text": block["text"]}]
    if block["type"] == "thinking":
        pieces = [
            {"type": "thinking_delta", "thinking": block.get("thinking", "")},
            {"type": "signature_delta", "signature": block.get("signature", "")},
        ]
        return {"type": "thinking", "thinking": "", "signature": ""}, pieces
    return block, []
