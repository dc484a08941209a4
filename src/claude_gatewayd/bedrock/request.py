"""Bring a request meant for Anthropic to what Claude Code itself sends in Bedrock mode for the same turn. Pure.

Bedrock answers 400 to a field or a beta that it does not know, so the lists are of what it takes, not of what it
refuses: `bedrock_features` has them, and what is left out, and why. Where one model stands in for another, the turn is
rewritten for the family that answers. Inputs and schemas of tools are the person's own data: they are never
looked into.

Sources: see `bedrock_features`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from claude_gatewayd.bedrock import structured_output
from claude_gatewayd.bedrock.features import (  # fmt: skip
    ASKED_BETAS,
    BETAS,
    CLAUDE_CODE,
    DISPLAY_UPDATES,
    EFFORT,
    EFFORTS,
    LEFT_OUT,
    RENAMED,
    SENT,
    TABLE,
    THINKING_COUNT,
    TOOL_SEARCH,
    Capabilities,
)
from claude_gatewayd.bedrock.models import Family
from claude_gatewayd.bedrock.refused import RefusedFeature, drop, without

Json = Any  # what json.loads gives
Object = Mapping[str, Json]

_FIELDS: Final = ("tool_choice", "stop_sequences")
_SAMPLING: Final = ("temperature", "top_p", "top_k")  # 330, LL: refused from Opus 4.7 on
_TOOL_FIELDS: Final = SENT["tools[]"]
_CLIENTS_TOOLS: Final = (
    "bash_",
    "text_editor_",
    "computer_",
    "browser_",
    "memory_",
)  # Anthropic's in name, run by the client
_JUDGED: Final = ("mcp_servers", "container", "inference_geo", "output_format")  # by `unsupported`, or rewritten
_SIGNED: Final = ("thinking", "redacted_thinking")
_CHANGES: Final = ("tool_addition", "tool_removal")  # of mid-conversation-tool-changes, which Bedrock lacks (CC 4.2)
# Written by what only Anthropic runs; 330 has this list. "fallback" is a mark, and dropped.
_SERVER_BLOCKS: Final = (
    "server_tool_use", "web_search_tool_result", "web_fetch_tool_result", "advisor_tool_result", "compaction",
    "code_execution_tool_result", "bash_code_execution_tool_result", "text_editor_code_execution_tool_result",
    "tool_search_tool_result", "mcp_tool_use", "mcp_tool_result", "container_upload",
)  # fmt: skip

_BILLING: Final = "x-anthropic-billing-header:"
_REMINDER: Final = "<system-reminder>\n{}\n</system-reminder>"  # recorded: what 330 sends to older models
_BUDGET: Final = 31_999  # recorded: what Claude Code gives Sonnet 4.5 and Haiku 4.5
_LEAST_BUDGET: Final = 1024


class BedrockRequest(NamedTuple):
    """A request for Bedrock: its *body* without version, model and stream, and the *betas* that go into the body.

    *header_betas* are what Claude Code sends as a header in Bedrock mode (CC 4.2), which LiteLLM cannot. *schema* is
    what its answer has to be brought to where a tool stands in for a schema; else None.
    """

    body: dict[str, Json]
    betas: tuple[str, ...]
    schema: Object | None = None
    header_betas: tuple[str, ...] = ()


def unsupported(body: Object, family: Family) -> str | None:
    """Say what a request asks for that a family at Bedrock does not have; None: it can answer."""
    takes = TABLE[family]
    if body.get("stream") is not None and not isinstance(body["stream"], bool):
        return "a stream that is neither true nor false"
    for field, name in (("mcp_servers", "MCP connectors"), ("container", "a container")):
        if body.get(field):
            return name
    if body.get("inference_geo") not in (None, "global"):
        return "a place to work at (inference_geo)"
    tools = [*_objects(body.get("tools")), *_late_tools(body)[0].values()]
    for tool in tools:
        kind = tool.get("type")
        if isinstance(kind, str) and kind != "custom" and kind not in takes.tools:
            return f"the tool {kind}" if kind.startswith(_CLIENTS_TOOLS) else f"the server tool {kind}"
        if tool.get("strict") and not takes.schema:
            return "strict tools with this model"
    if not takes.forced and _type(body.get("tool_choice")) in ("any", "tool"):
        return "a tool that has to be called (tool_choice) with this model"
    wanted = structured_output.format_of(body)
    bound = takes.schema and _type(wanted) == "json_schema"
    if wanted is not None and not bound and (tools or structured_output.schema_of(wanted) is None):
        return "this output format (output_config.format) with this model, or beside tools"
    for block in _all_blocks(body):
        if block.get("type") in _SERVER_BLOCKS:
            return f"a block of the kind {block['type']}"
        source = block.get("source")
        if isinstance(source, dict) and source.get("type") in ("file", "url"):
            return f"a {source['type']} to be fetched"
    return None


def goes_by_tool(body: Object) -> bool:
    """Say whether a tool can stand in for the schema that a request binds its answer to."""
    schema = structured_output.schema_of(structured_output.format_of(body))
    return schema is not None and not body.get("tools") and not _late_tools(body)[0]


def unknown_fields(body: Object) -> list[str]:
    """Name the fields that are left out although nothing is known of them, so that the caller can be informed."""
    places: list[tuple[str, Json]] = [("", body)]
    places += [(place, body.get(place)) for place in ("metadata", "thinking", "output_config")]
    places += [("messages[]", message) for message in _objects(body.get("messages"))]
    places += [("tools[]", tool) for tool in _objects(body.get("tools")) if tool.get("type") in (None, "custom")]
    found = dict.fromkeys(
        f"{place}.{key}".lstrip(".")
        for place, value in places
        if isinstance(value, dict)
        for key in value
        if key not in SENT[place]
    )
    found |= dict.fromkeys(place for place, value in places[1:4] if value is not None and not isinstance(value, dict))
    return [name for name in found if name not in LEFT_OUT and name not in _JUDGED]


def shape(
    body: Object, beta: str | None, family: Family, *, bound: bool = True, refused: Iterable[RefusedFeature] = ()
) -> BedrockRequest:
    """Make the request that Bedrock takes, from the body and the anthropic-beta header; neither is changed.

    Not *bound*: the model has shown that it cannot be bound to a schema. *refused* is what it has refused besides.
    """
    takes = without(TABLE[family], refused)
    bound = bound and takes.schema
    asked = [RENAMED.get(name.strip(), name.strip()) for name in (beta or "").split(",")]
    betas: list[str] = [name for name in ASKED_BETAS if name in asked and name in takes.betas]
    out = {key: body[key] for key in _FIELDS if key in body}
    if takes.thinking != "adaptive":
        out |= {key: body[key] for key in _SAMPLING if key in body}
    if (most := body.get("max_tokens")) is not None:
        out["max_tokens"] = min(most, takes.max_tokens) if type(most) is int else most
    searches = TOOL_SEARCH in betas
    out["messages"] = _messages(body.get("messages"), system=takes.system, searches=searches)
    if system := _system(body.get("system")):
        out["system"] = system
    if tools := _tools(body, searches=searches):
        out["tools"] = tools
    metadata = body.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get("user_id"), str):
        out["metadata"] = {"user_id": metadata["user_id"]}
    thinking = _thinking(body.get("thinking"), out.get("max_tokens"), takes, updates=DISPLAY_UPDATES in betas)
    if thinking and not (thinking["type"] == "enabled" and _tools_run_unthought(out["messages"])):
        out["thinking"] = thinking
    config: dict[str, Json] = {}
    effort = _effort(body.get("output_config"), takes)
    if effort:
        config["effort"] = effort
    wanted = structured_output.format_of(body)
    if wanted is not None and bound:
        config["format"] = wanted
    if config:
        out["output_config"] = config
    if "display" not in thinking:  # 2.1.197 knows neither, and does not ask Bedrock for the count (recorded)
        betas = [name for name in betas if name != THINKING_COUNT]
    if thinking.get("display") != "updates":
        betas = [name for name in betas if name != DISPLAY_UPDATES]
    needed = {takes.tools.get(kind) for tool in _objects(out.get("tools")) if isinstance(kind := tool.get("type"), str)}
    betas += [name for name in BETAS if name in needed and name not in betas]
    if takes.thinking == "none":
        out = without_thinking(out)
    schema = None if bound else structured_output.schema_of(wanted)
    if schema is not None:
        thinks = _type(out.get("thinking")) in ("adaptive", "enabled")
        out = structured_output.by_tool(out, schema, forced=takes.forced and not thinks)
    for path in takes.refused_fields:
        out = drop(out, path)
    in_header = _header_betas(asked, betas, effort=bool(effort))
    return BedrockRequest(out, tuple(betas), schema, tuple(name for name in in_header if name in takes.header_betas))


def _header_betas(asked: list[str], betas: list[str], *, effort: bool) -> tuple[str, ...]:
    """Return the betas for the header, in Claude Code's order."""
    found = [CLAUDE_CODE] if CLAUDE_CODE in asked else []
    found += [name for name in betas if name == THINKING_COUNT]
    found += [EFFORT] if effort and EFFORT in asked else []
    return (*found, *(name for name in betas if name == DISPLAY_UPDATES))


def without_thinking(body: Object) -> dict[str, Json]:
    """Leave out all earlier thinking, for the one retry after a 400 about a signature.

    Thinking with a budget is switched off too while tools run.
    """
    messages = []
    for message in _list(body.get("messages")):
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list):
            kept = [block for block in content if _type(block) not in _SIGNED]
            if content and not kept:
                continue
            messages.append(message | {"content": kept})
        else:
            messages.append(message)
    out = {**body, "messages": messages}
    if _type(body.get("thinking")) == "enabled" and _tools_run_unthought(messages):
        del out["thinking"]
    return out


def _tools_run_unthought(messages: list[Json]) -> bool:
    """Say whether tools run in a turn that does not begin with thinking.

    Then a budget is refused (opencode#3077: "a final `assistant` message must start with a thinking block").
    """
    if not messages or not any(block.get("type") == "tool_result" for block in _objects(_content(messages[-1]))):
        return False
    latest = next((message for message in reversed(messages) if _role(message) == "assistant"), None)
    first = next(iter(_list(_content(latest))), None)
    return _type(first) not in _SIGNED


def _messages(messages: Json, *, system: bool, searches: bool) -> list[Json]:
    """Keep role and content, drop what is then empty; what a family takes no system message for, the user says."""
    out: list[Json] = []
    for message in _list(messages):
        if not isinstance(message, dict):
            out.append(message)
            continue
        role, content = message.get("role"), message.get("content")
        if isinstance(content, list):
            content = [_block(b, searches=searches) for b in content if _type(b) not in (*_CHANGES, "fallback")]
        if not content:
            continue  # 330 writes system messages that hold an effort, or changes of tools, and nothing else
        if role == "system" and not system:
            blocks = [{"type": "text", "text": content}] if isinstance(content, str) else _list(content)
            blocks = [b | {"text": _REMINDER.format(b["text"])} if _is_text(b) else b for b in blocks]
            if out and isinstance(out[-1], dict) and out[-1]["role"] == "user":
                before = out[-1]["content"]
                before = [{"type": "text", "text": before}] if isinstance(before, str) else _list(before)
                out[-1] = {"role": "user", "content": [*before, *blocks]}
                continue
            role, content = "user", blocks
        out.append({"role": role, "content": content})
    return out


def _block(block: Json, *, searches: bool) -> Json:
    """Clean a block, and those within the result of a tool."""
    if not isinstance(block, dict):
        return block
    out = _without_ttl(block)
    if out.get("type") == "tool_use":
        out.pop("caller", None)  # Anthropic's answers have it; that Bedrock takes it is not known
    elif out.get("type") == "tool_result" and isinstance(inner := out.get("content"), list):
        kept = [b for b in inner if searches or _type(b) != "tool_reference"]
        if inner and not kept:
            kept = [{"type": "text", "text": "[tool references]"}]  # 330's text
        out["content"] = [_without_ttl(b) if isinstance(b, dict) else b for b in kept]
    return out


def _without_ttl(block: dict[str, Json]) -> dict[str, Json]:
    """Copy a block or a tool; of its cache_control only the type stays (CC 4.1)."""
    out = dict(block)
    control = out.pop("cache_control", None)
    if isinstance(control, dict) and "type" in control:
        out["cache_control"] = {"type": control["type"]}
    return out


def _system(system: Json) -> Json:
    """Drop the billing block: it differs from one conversation to the next, and so spoils Bedrock's cache (CC 2)."""
    if isinstance(system, str) and system.startswith(_BILLING):  # LiteLLM would drop it with all that follows
        return system.partition("\n")[2]
    if not isinstance(system, list):
        return system
    kept = [b for b in system if not (_is_text(b) and b["text"].startswith(_BILLING))]
    return [_without_ttl(b) if isinstance(b, dict) else b for b in kept]


def _late_tools(body: Object) -> tuple[dict[str, Json], set[str]]:
    """Return the tools that messages define in mid-conversation, by name, and the names of those that they show."""
    shown: set[str] = set()
    late: dict[str, Json] = {}
    for block in _all_blocks(body):
        tool = block.get("tool")
        if block.get("type") == "tool_addition" and isinstance(tool, dict):
            definition = tool.get("definition")
            if isinstance(definition, dict) and isinstance(name := definition.get("name"), str):
                late[name] = definition
            elif isinstance(name := tool.get("name", tool.get("tool_name")), str):
                shown.add(name)
    for tool in _objects(body.get("tools")):
        if isinstance(name := tool.get("name"), str):
            late.pop(name, None)
    return late, shown


def _tools(body: Object, *, searches: bool) -> list[Json]:
    """Clean the tools. What a message adds in mid-conversation is declared, and shown, with the others."""
    late, shown = _late_tools(body)
    out = []
    for tool in (*_list(body.get("tools")), *late.values()):
        if not isinstance(tool, dict):
            out.append(tool)
            continue
        clean = _without_ttl(tool)
        if tool.get("type") in (None, "custom"):
            clean = {key: clean[key] for key in _TOOL_FIELDS if key in clean}
        if not clean.get("strict"):
            clean.pop("strict", None)
        if not searches or (isinstance(name := tool.get("name"), str) and name in shown):
            clean.pop("defer_loading", None)
        out.append(clean)
    return out


def _thinking(thinking: Json, max_tokens: Json, takes: Capabilities, *, updates: bool) -> dict[str, Json]:
    """Write `thinking` as the family takes it: "disabled" only for one that thinks by default, else left out."""
    kind = _type(thinking)
    if kind == "disabled" and takes.off:
        return {"type": "disabled"}
    if kind not in ("adaptive", "enabled") or takes.thinking == "none":
        return {}
    out: dict[str, Json] = {"type": "adaptive"}
    if takes.thinking == "budget" or (takes.thinking == "either" and kind == "enabled"):
        budget = thinking.get("budget_tokens", _BUDGET)
        if type(budget) is int and type(max_tokens) is int:
            budget = min(budget, max_tokens - 1)
            if budget < _LEAST_BUDGET:
                return {}
        out = {"type": "enabled", "budget_tokens": budget}
    if takes.display and "display" in thinking:
        known = ("summarized", "updates") if updates else ("summarized",)
        out["display"] = thinking["display"] if thinking["display"] in known else "omitted"
    return out


def _effort(config: Json, takes: Capabilities) -> str | None:
    """Return the effort asked for, or the next lower that the family has."""
    effort = config.get("effort") if isinstance(config, dict) else None
    if effort not in EFFORTS:
        return None
    lower = EFFORTS[: EFFORTS.index(effort) + 1]
    return next((level for level in reversed(lower) if level in takes.efforts), None)


def _all_blocks(body: Object) -> Iterator[dict[str, Json]]:
    """Yield the blocks of system and messages, and those within results of tools and documents."""
    contents = [body.get("system"), *(message.get("content") for message in _objects(body.get("messages")))]
    for content in contents:
        for block in _objects(content):
            yield block
            for inner in _inner_blocks(block):
                yield inner
                yield from _inner_blocks(inner)  # a document within the result of a tool has blocks, too


def _inner_blocks(block: Object) -> Iterator[dict[str, Json]]:
    yield from _objects(block.get("content"))
    source = block.get("source")
    yield from _objects(source.get("content") if isinstance(source, dict) else None)


def _objects(value: Json) -> Iterator[dict[str, Json]]:
    yield from (item for item in _list(value) if isinstance(item, dict))


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _role(message: Json) -> Json:
    return message.get("role") if isinstance(message, dict) else None


def _content(message: Json) -> Json:
    return message.get("content") if isinstance(message, dict) else None


def _type(block: Json) -> Json:
    return block.get("type") if isinstance(block, dict) else None


def _is_text(block: Json) -> bool:
    return _type(block) == "text" and isinstance(block.get("text"), str)
