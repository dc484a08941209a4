"""Bodies as Claude Code sends them in Bedrock mode."""

from typing import Any

from tests.fakes.test_bedrock.calls import BETAS, ask


def turn(**fields: Any) -> dict[str, Any]:
    """What Claude Code sends in Bedrock mode, in short."""
    tool = {"name": "Bash", "description": "Run.", "input_schema": {"type": "object", "properties": {}}}
    late = {**tool, "name": "DeferredToolPlaceholder", "defer_loading": True}
    body = ask(
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "say hello"}]},
            {
                "role": "system",
                "content": [{"type": "text", "text": "the lake", "cache_control": {"type": "ephemeral"}}],
            },
        ],
        system=[
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.330.572; cc_entrypoint=sdk-cli;"},
            {"type": "text", "text": "You are a heron.", "cache_control": {"type": "ephemeral"}},
        ],
        metadata={"user_id": "{}"},
        max_tokens=128000,
        thinking={"type": "adaptive", "display": "omitted"},
        anthropic_beta=BETAS,
        output_config={"effort": "medium"},
        tools=[tool, late],
    )
    return body | fields


def older_turn(**fields: Any) -> dict[str, Any]:
    body = turn(
        messages=[{"role": "user", "content": [{"type": "text", "text": "say hello"}]}],
        max_tokens=32000,
        thinking={"type": "enabled", "budget_tokens": 31999},
        anthropic_beta=["tool-search-tool-2025-10-19"],
    )
    del body["output_config"]
    return body | fields


def tool_turn(*blocks: dict[str, Any], calls: int = 1, **fields: Any) -> dict[str, Any]:
    uses = [{"type": "tool_use", "id": f"toolu_{n}", "name": "Bash", "input": {}} for n in range(calls)]
    return turn(
        messages=[
            {"role": "user", "content": "look"},
            {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "…", "signature": "c2lnbmVk"}, *uses],
            },
            {"role": "user", "content": list(blocks)},
        ],
        **fields,
    )


def result(content: object = "done", call: int = 0, **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": f"toolu_{call}", "content": content, **fields}


def without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


def cached(**control: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", **control}}]


REFERENCE = [{"type": "tool_reference", "tool_name": "WebFetch"}]
WEB_SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}
