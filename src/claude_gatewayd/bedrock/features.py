"""What Bedrock accepts, by family of models; and which fields are left out or changed, and why. Data.

docs/bedrock.md prints LEFT_OUT, CHANGED and NOT_SERVED. What is in none of them is sent as it is.

Sources: CC N = measured with Claude Code 2.1.197, 2.1.330 and 2.1.332, table N; 330 = read in the binary of 2.1.330;
LL = LiteLLM 1.106.2's model map; AWS = Amazon Bedrock's user guide; A = Anthropic's documentation.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from claude_gatewayd.bedrock.models import Family

CONTEXT_1M: Final = "context-1m-2025-08-07"
INTERLEAVED: Final = "interleaved-thinking-2025-05-14"
TOOL_SEARCH: Final = "tool-search-tool-2025-10-19"
THINKING_COUNT: Final = "thinking-token-count-2026-05-13"
DISPLAY_UPDATES: Final = "thinking-display-updates-2026-08-18"
FALLBACK_CREDIT: Final = "fallback-credit-2026-06-01"
COMPUTER_USE_OLD: Final = "computer-use-2025-01-24"
COMPUTER_USE: Final = "computer-use-2025-11-24"
CLAUDE_CODE: Final = "claude-code-20250219"
EFFORT: Final = "effort-2025-11-24"
# In Claude Code's order (CC 4.2, 8); those of tools last, which we add ourselves.
ASKED_BETAS: Final = (CONTEXT_1M, INTERLEAVED, TOOL_SEARCH, THINKING_COUNT, DISPLAY_UPDATES, FALLBACK_CREDIT)
BETAS: Final = (*ASKED_BETAS, COMPUTER_USE_OLD, COMPUTER_USE)
RENAMED: Final = {"advanced-tool-use-2025-11-20": TOOL_SEARCH}  # CC 4.2


class Capabilities(NamedTuple):
    """What Bedrock takes of a family. *thinking*: with a budget, adaptive, "either", or not at all.

    *display* goes with the count of hidden thinking's tokens, *system* is role "system" within the messages, *schema*
    says that an answer can be bound to a JSON schema and tools can be strict, *forced* that the model can be made to
    call a tool, *off* that it thinks unless thinking is disabled. *tools* are Anthropic's by name and run by the
    client, each with the beta that it needs, or "". *header_betas* go as a header; *refused_fields* are paths of fields
    that a model has refused (`refused.drop`).
    """

    max_tokens: int
    thinking: Literal["none", "budget", "either", "adaptive"]
    betas: frozenset[str] = frozenset()
    efforts: tuple[str, ...] = ()
    display: bool = False
    system: bool = False
    schema: bool = False
    forced: bool = True
    off: bool = False
    tools: Mapping[str, str] = MappingProxyType({})
    header_betas: frozenset[str] = frozenset((CLAUDE_CODE, EFFORT, THINKING_COUNT, DISPLAY_UPDATES))
    refused_fields: tuple[str, ...] = ()


EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
_NO_XHIGH: Final = ("low", "medium", "high", "max")  # LL: the 4.6 models have no supports_xhigh_reasoning_effort
# 332: the official client in Bedrock mode sends the updates' beta to all from Opus 4.7 on
_OF_5: Final = frozenset((CONTEXT_1M, INTERLEAVED, TOOL_SEARCH, THINKING_COUNT, DISPLAY_UPDATES))

# Bedrock's own list of tags, in what it says of another one, names these without any beta; A: from Claude 4 on.
_FILES: Final = {"bash_20250124": "", "text_editor_20250429": "", "text_editor_20250728": ""}
_MEMORY: Final = _FILES | {"memory_20250818": ""}  # the same list, of models from 4.5 on
# AWS, "Computer use": each with its beta. A: the older one up to 4.5, the newer one from Opus 4.5 on.
_OLD_COMPUTER: Final = {"computer_20250124": COMPUTER_USE_OLD}
_COMPUTER: Final = {"computer_20251124": COMPUTER_USE}

TABLE: Final[Mapping[Family, Capabilities]] = {
    # LL: no reasoning, no tool search; 4096 is the least of them
    Family.CLAUDE_3: Capabilities(4096, "none"),
    # LL: reasoning. 330: interleaved thinking not for claude-3-*
    Family.CLAUDE_3_7: Capabilities(64_000, "budget"),
    # LL: Opus 32000, no tool search, no schema. 330: interleaved thinking from Claude 4 on, no effort before Opus 4.6
    Family.CLAUDE_4: Capabilities(32_000, "budget", frozenset({INTERLEAVED, CONTEXT_1M}), tools=_FILES | _OLD_COMPUTER),
    # CC 4.1, 4.2 (Sonnet 4.5): budget, no display, no effort, no system messages, tool search.
    # AWS, LL (supports_native_structured_output): schema, strict tools
    Family.CLAUDE_4_5: Capabilities(
        64_000, "budget", frozenset({INTERLEAVED, CONTEXT_1M, TOOL_SEARCH}), schema=True,
        tools=_MEMORY | _OLD_COMPUTER | _COMPUTER,
    ),
    # recorded, 2.1.330 in Bedrock mode: as Sonnet 4.5 without interleaved thinking; LL: 200k context, schema
    Family.HAIKU_4_5: Capabilities(
        64_000, "budget", frozenset({TOOL_SEARCH}), schema=True, tools=_MEMORY | _OLD_COMPUTER
    ),
    # CC 4.1 (Sonnet 4.6): effort. LL: adaptive and legacy thinking, schema. 330: system messages only from Opus 4.8 on,
    # display on Bedrock only from Opus 4.7 on
    Family.CLAUDE_4_6: Capabilities(
        64_000, "either", frozenset({INTERLEAVED, CONTEXT_1M, TOOL_SEARCH}), _NO_XHIGH, schema=True,
        tools=_MEMORY | _COMPUTER,
    ),
    # 330: as 4.6, with display. LL: refuses thinking with a budget. vercel/ai#14773, anthropic-sdk-python#1759,
    # presenton#939: from here on Bedrock answers a schema, and a strict tool, with "Extra inputs are not permitted"
    Family.CLAUDE_4_7: Capabilities(
        128_000, "adaptive", _OF_5, EFFORTS, display=True, tools=_MEMORY | _COMPUTER
    ),
    # CC 4.1, 4.2 (Opus 4.8, Sonnet 5): effort, display, system messages, token count. A: Opus 5 and Sonnet 5 think by
    # themselves; lobehub#19876: off at Bedrock too
    Family.CLAUDE_5: Capabilities(
        128_000, "adaptive", _OF_5, EFFORTS, display=True, system=True, off=True, tools=_MEMORY | _COMPUTER
    ),
    # A, LL (supports_forced_tool_use; Fable 5.1, Opus 5.5, Sonnet 5.5), lobehub#19876: thinks always, and no tool can
    # be forced. CC 8 (Opus 5.5): the beta
    Family.CLAUDE_5_1: Capabilities(
        128_000, "adaptive", _OF_5 | {FALLBACK_CREDIT}, EFFORTS, display=True, system=True,
        forced=False, tools=_MEMORY | _COMPUTER,
    ),
}  # fmt: skip

# Where a field stands that Bedrock gets: "" is the request itself. What is not here is left out.
SENT: Final[Mapping[str, tuple[str, ...]]] = {
    "": (
        "messages", "max_tokens", "system", "tools", "tool_choice", "stop_sequences", "temperature", "top_p", "top_k",
        "metadata", "thinking", "output_config",
    ),
    "messages[]": ("role", "content"),
    "tools[]": ("type", "name", "description", "input_schema", "cache_control", "defer_loading", "strict"),
    "metadata": ("user_id",),
    "thinking": ("type", "budget_tokens", "display"),
    "output_config": ("effort", "format"),
}  # fmt: skip

# Each field, with the reason why the answer is the same without it, or why it guarantees nothing.
LEFT_OUT: Final[Mapping[str, str]] = {
    "model": "it is part of the URL at Bedrock",
    "stream": "it is part of the URL at Bedrock",
    "betas": "the header has them; a beta that Bedrock lacks only permits a field, and each field is judged by itself",
    "cache_control": "automatic caching: it affects only the cost",
    "context_management": "it saves tokens; without it the model sees the whole conversation",
    "compaction": "it saves tokens; without it the model sees the whole conversation",
    "diagnostics": "for Anthropic's own statistics",
    "tags": "for Anthropic's own statistics",
    "billing_policy": "how Anthropic is paid",
    "service_tier": "speed and price at Anthropic",
    "speed": "speed and price at Anthropic",
    "user_profile_id": "for Anthropic's own statistics",
    "workspace_id": "for Anthropic's own statistics",
    "fallback_credit_token": "credit at Anthropic",
    "fallbacks": "models that Anthropic would try; here `[router.fallbacks]` decides",
    "safeguards": "Anthropic's check of tool calls: without it, Claude Code's auto mode asks you, or denies them",
    "thread": "a new thread has the whole conversation; for a continued one, the client is asked for it (404)",
    "resumption": "an offer to continue later; to continue, the client is asked for the whole conversation (404)",
    "messages[].output_config": "effort for one turn: the request's effort is used",
    "messages[].clear_at": "it saves tokens; without it the model sees the message for longer",
    "tools[].eager_input_streaming": "how a tool's input is divided into events",
    "tools[].input_examples": "hints for calling the tool; Bedrock accepts them only with a beta of its own",
    "tools[].allowed_callers": "only for the code execution tool, which does not go to Bedrock",
    "thinking.block_binding": "whether Anthropic refuses thinking blocks of another conversation",
    "output_config.task_budget": "a hint to the model; `max_tokens` is the limit",
}

# What is sent in another form, because the model's family supports no other.
CHANGED: Final[Mapping[str, str]] = {
    "max_tokens": "at most the model's maximum",
    "temperature, top_p, top_k": "left out from Opus 4.7 on, where Bedrock refuses them",
    "thinking": "with a budget or adaptive, as the model supports; `between_tools` is left out, and so is `disabled` "
    "for models that do not think by default, or always think",
    "thinking.display": "`updates` with its beta, otherwise `omitted`; left out before Opus 4.7",
    "output_config.effort": "the next lower level that the model supports",
    "output_config.format": "models without structured output get the schema as the only tool that they may call; the "
    "input of that call is validated against the schema, and is the answer",
    "output_format": "the older name of `output_config.format`",
    "cache_control": "without `ttl` and `scope`",
    "system": "without the line `x-anthropic-billing-header`, which defeats Bedrock's cache",
    "system messages": "up to Opus 4.7 moved into the user's message, as a reminder",
    "tool_addition": "the tool is declared with the others",
    "tool_removal": "left out: the tool stays declared, and the client refuses calls to it",
    "tool_reference": "left out for models without tool search",
    "tool_use.caller": "left out: the caller is always the model",
    "fallback": "left out: it marks that another model answered",
    "thinking blocks": "left out for models without thinking, and in one more attempt if Bedrock refuses a signature",
    "metadata": "only `user_id`",
}

# What only Anthropic can do: such a request is not sent to Bedrock.
NOT_SERVED: Final[Mapping[str, str]] = {
    "Anthropic's own tools": "web search, web fetch, code execution, toolsets and other server tools; also the "
    "computer, bash, text editor and memory tools if the model at Bedrock lacks them",
    "tool_choice": "`any` and `tool` with models that cannot be made to call a tool: from 5.1 on",
    "tools[].strict": "for models that do not support it: from Opus 4.7 on, and before 4.5",
    "output_config.format": "for models without structured output, if the request has tools as well, or if the "
    "schema is not that of an object",
    "mcp_servers": "MCP connectors run at Anthropic",
    "container": "containers are at Anthropic",
    "inference_geo": "where the answer is computed; at Bedrock `[bedrock] geography` decides",
    "files and URLs": "images and documents that Anthropic would fetch",
    "results of server tools": "conversations that contain output of Anthropic's own tools",
}
