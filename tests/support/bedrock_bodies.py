"""Bodies of requests as Claude Code sends them, and such as nobody does."""

from typing import Any

from hypothesis import strategies as st

from claude_gatewayd.bedrock.features import LEFT_OUT, SENT

HOUR = {"type": "ephemeral", "ttl": "1h"}
PLAIN = {"type": "ephemeral"}
NEW_HEADER = (
    "claude-code-20250219,oauth-2025-04-20,interleaved-thinking-2025-05-14,context-management-2025-06-27,"
    "per-turn-control-2026-07-01,mid-conversation-tool-changes-2026-07-01,thinking-token-count-2026-05-13,"
    "advanced-tool-use-2025-11-20,effort-2025-11-24,extended-cache-ttl-2025-04-11"
)
OLD_HEADER = (
    "claude-code-20250219,oauth-2025-04-20,context-1m-2025-08-07,interleaved-thinking-2025-05-14,"
    "thinking-token-count-2026-05-13,context-management-2025-06-27,prompt-caching-scope-2026-01-05,"
    "mid-conversation-system-2026-04-07,effort-2025-11-24,extended-cache-ttl-2025-04-11"
)
USER_ID = '{"device_id":"d","account_uuid":"a","session_id":"s"}'


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def turn(**changes: Any) -> dict[str, Any]:
    """Return a turn as 2.1.330 writes it after a tool has run, signed in with a subscription."""
    return {
        "model": "claude-opus-5-5",
        "messages": [
            {"role": "user", "content": [text("reminder"), text("list the files")]},
            {"role": "system", "content": "environment", "output_config": {"effort": "medium"}},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                    text("I will look."),
                    {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"cache_control": {"ttl": "1h"}},
                     "caller": {"type": "direct"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1",
                     "content": [{"type": "tool_reference", "tool_name": "WebFetch"}], "is_error": False},
                    text("Tool loaded.", cache_control=HOUR),
                ],
            },
        ],
        "system": [
            text("x-anthropic-billing-header: cc_version=2.1.330.572; cc_entrypoint=sdk-cli;"),
            text("You are an agent.", cache_control=HOUR),
            text("Do well.", cache_control=HOUR | {"scope": "global"}),
        ],
        "tools": [
            {"name": "Bash", "description": "runs", "input_schema": {"type": "object", "ttl": 1}},
            {"name": "WebFetch", "description": "fetches", "input_schema": {}, "defer_loading": True,
             "eager_input_streaming": True, "cache_control": HOUR},
        ],
        "metadata": {"user_id": USER_ID, "more": 1},
        "max_tokens": 128000,
        "thinking": {"type": "adaptive", "display": "omitted"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "medium"},
        "tags": {"team": "a"},
        "diagnostics": {},
        "stream": True,
    } | changes  # fmt: skip


KINDS = ["text", "thinking", "redacted_thinking", "tool_use", "tool_result", "tool_reference", "tool_addition", "image",
         "fallback", "server_tool_use", "adaptive", "enabled", "file", "custom"]  # fmt: skip
KEYS = [*turn(), "type", "role", "content", "text", "cache_control", "ttl", "scope", "source", "tool", "definition",
        "name", "effort", "display", "budget_tokens", "defer_loading", "caller", "mcp_servers"]  # fmt: skip
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from([*KINDS, "user", "system", "assistant", "x-anthropic-billing-header: x", "high", "xhigh"])
)  # fmt: skip
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)
blocks = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS)},
    optional=dict.fromkeys(("content", "cache_control", "text", "caller", "input", "tool", "source"), anything),
)
messages = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "system"]),
        "content": st.lists(blocks, max_size=3) | st.text(max_size=3),
    },
    optional={"output_config": anything, "clear_at": st.just("next_user_message")},
)
likely = st.fixed_dictionaries(
    {"messages": st.lists(messages, max_size=3)},
    optional={
        "system": st.lists(blocks, max_size=2),
        "tools": st.lists(blocks | st.fixed_dictionaries({"name": st.text(max_size=3), "cache_control": anything})),
        **{key: anything for key in turn() if key not in ("messages", "system", "tools")},
    },
)
bodies = likely | st.dictionaries(st.sampled_from(KEYS), anything, max_size=8)

SCHEMA = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
PLACES = ["", "messages[]", "tools[]", "metadata", "thinking", "output_config"]
# Fields of the newest SDK's request (anthropic 2.14.0), of its tools and messages, of Claude Code's; and of nobody's.
NAMES = [
    *(name for name in SENT[""] if name not in ("messages", "tools")), *LEFT_OUT, "mcp_servers", "container",
    "inference_geo", "output_format", "name", "description", "strict", "eager_input_streaming", "allowed_callers",
    "input_examples", "clear_at", "effort", "format", "task_budget", "block_binding", "display", "of_next_year",
    "user_id",
]  # fmt: skip
places = st.sampled_from(PLACES)
names = st.sampled_from(NAMES).map(lambda name: name.rpartition(".")[2])
values = st.sampled_from(["x", True, 7, {"type": "adaptive"}, {"type": "json_schema", "schema": SCHEMA}, ["x"], "high"])


def at(body: Any, place: str) -> Any:
    """Return what stands at a place of a request; of a list its first."""
    for part in filter(None, place.split(".")):
        body = body.get(part.removesuffix("[]")) if isinstance(body, dict) else None
        if part.endswith("[]"):
            body = body[0] if isinstance(body, list) and body else None
    return body
