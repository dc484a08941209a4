"""The models of the fake Bedrock: their ids, from where they can be called, and what each family takes."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

# ready: can be called by this id. profile-only: only through an inference profile. no-access: the account may not.
# legacy, ended: taken away by the provider. not-ready: 429 while it is being loaded.
State = Literal["ready", "profile-only", "no-access", "legacy", "ended", "not-ready"]

INTERLEAVED: Final = "interleaved-thinking-2025-05-14"
LONG_CONTEXT: Final = "context-1m-2025-08-07"
TOOL_SEARCH: Final = "tool-search-tool-2025-10-19"
THINKING_COUNT: Final = "thinking-token-count-2026-05-13"
DISPLAY_UPDATES: Final = "thinking-display-updates-2026-08-18"
FALLBACK_CREDIT: Final = "fallback-credit-2026-06-01"
AFK_MODE: Final = "afk-mode-2026-01-31"
COMPUTER_USE_OLD: Final = "computer-use-2025-01-24"
COMPUTER_USE: Final = "computer-use-2025-11-24"
CLAUDE_CODE: Final = "claude-code-20250219"

ALL_EFFORTS: Final = frozenset(("low", "medium", "high", "xhigh", "max"))


@dataclass(frozen=True, slots=True)
class Family:
    """What the models of one family take in a body. Every field is a knob: what is not named here is refused."""

    betas: frozenset[str] = frozenset((INTERLEAVED, LONG_CONTEXT, TOOL_SEARCH, THINKING_COUNT, COMPUTER_USE))
    # Taken where tokens are counted: count-tokens, and an invoke with max_tokens 1.
    betas_on_count: frozenset[str] = frozenset((CLAUDE_CODE,))
    thinking: frozenset[str] = frozenset(("disabled", "adaptive"))
    thinking_display: bool = True
    efforts: frozenset[str] = ALL_EFFORTS
    structured_output: bool = False  # output_config.format, and strict tools
    forced_tools: bool = True  # tool_choice of the kinds "any" and "tool"
    system_messages: bool = True
    tool_search: bool = True  # defer_loading and tool_reference, with the beta
    tool_caller: bool = False
    cache_ttl: bool = False
    cache_scope: bool = False
    context_management: bool = False
    message_output_config: bool = False
    server_tools: bool = False
    file_ids: bool = False
    sampling: bool = False  # temperature, top_p, top_k
    max_tokens: int = 128_000
    context: int = 200_000  # tokens, at 4 bytes each
    long_context: int = 1_000_000  # with the beta
    old_wording: bool = False  # "Malformed input request: #: extraneous key …" in place of "… Extra inputs …"


# Claude Code 2.1.332 sends the beta of updates to all from Opus 4.7 on, and in auto mode, which is its default at a
# terminal, that of auto mode: it does without the check of tool calls where that is refused, but never without this.
_NEW: Final = Family(betas=Family().betas | {DISPLAY_UPDATES, AFK_MODE})
_ADAPTIVE_TOO: Final = replace(
    _NEW,
    betas=_NEW.betas - {DISPLAY_UPDATES},
    thinking=frozenset(("disabled", "enabled", "adaptive")),
    efforts=ALL_EFFORTS - {"xhigh"},
    structured_output=True,
    system_messages=False,
    sampling=True,
)
_ALWAYS_THINKS: Final = replace(
    _NEW, betas=_NEW.betas | {FALLBACK_CREDIT}, thinking=frozenset(("adaptive",)), forced_tools=False
)
_BUDGETED: Final = replace(
    _NEW,
    betas=frozenset((INTERLEAVED, LONG_CONTEXT, TOOL_SEARCH, COMPUTER_USE_OLD, COMPUTER_USE)),
    thinking=frozenset(("disabled", "enabled")),
    thinking_display=False,
    efforts=frozenset(),
    structured_output=True,
    system_messages=False,
    sampling=True,
    max_tokens=64_000,
)
_FOUR: Final = replace(
    _BUDGETED,
    betas=frozenset((INTERLEAVED, LONG_CONTEXT, COMPUTER_USE_OLD)),
    tool_search=False,
    structured_output=False,
)
_THREE: Final = replace(_FOUR, betas=frozenset(), thinking=frozenset(("disabled",)), max_tokens=8_192, old_wording=True)

# By name, as in anthropic.claude-NAME. What is true of a family is what Claude Code itself sends it in Bedrock mode;
# the ceilings of max_tokens and context are the providers' published ones.
FAMILIES: Final[Mapping[str, Family]] = {
    "3-opus": replace(_THREE, max_tokens=4_096),
    "3-5-haiku": _THREE,
    "3-5-sonnet": _THREE,
    "3-7-sonnet": replace(_THREE, thinking=frozenset(("disabled", "enabled")), max_tokens=64_000),
    "opus-4": replace(_FOUR, max_tokens=32_000),
    "opus-4-1": replace(_FOUR, max_tokens=32_000),
    "sonnet-4": _FOUR,
    "opus-4-5": _BUDGETED,
    "sonnet-4-5": _BUDGETED,
    "haiku-4-5": replace(_BUDGETED, betas=frozenset((TOOL_SEARCH, COMPUTER_USE_OLD))),
    "opus-4-6": _ADAPTIVE_TOO,
    "sonnet-4-6": replace(_ADAPTIVE_TOO, max_tokens=64_000),
    "opus-4-7": replace(_NEW, system_messages=False),
    "opus-4-8": _NEW,
    "sonnet-5": _NEW,
    "opus-5": _NEW,
    "sonnet-5-5": _ALWAYS_THINKS,
    "opus-5-5": _ALWAYS_THINKS,
    "haiku-5-5": _ALWAYS_THINKS,
    "fable-5": _NEW,
    "fable-5-1": _ALWAYS_THINKS,
    "mythos-preview": _ADAPTIVE_TOO,
    "mythos-5": _NEW,
    "mythos-5-1": _ALWAYS_THINKS,
}

# Bedrock's id without `anthropic.claude-`: the prefixes of its inference profiles.
_PROFILES: Final[Mapping[str, str]] = {
    "3-opus-20240229-v1:0": "us eu",
    "3-5-haiku-20241022-v1:0": "us eu",
    "3-5-sonnet-20240620-v1:0": "us eu",
    "3-5-sonnet-20241022-v2:0": "us eu",
    "3-7-sonnet-20250219-v1:0": "us eu",
    "opus-4-20250514-v1:0": "us eu",
    "opus-4-1-20250805-v1:0": "us eu",
    "opus-4-5-20251101-v1:0": "us eu global",
    "opus-4-6-v1": "us eu au global",
    "opus-4-7": "us eu apac jp au global",
    "opus-4-8": "us-gov us eu apac jp au global",
    "opus-5": "us-gov us eu apac jp au global",
    "opus-5-5": "us-gov us eu apac jp au global",
    "sonnet-4-20250514-v1:0": "us eu apac global",
    "sonnet-4-5-20250929-v1:0": "us-gov us eu jp au global",
    "sonnet-4-6": "us eu apac jp au global",
    "sonnet-5": "us-gov us eu apac jp au global",
    "sonnet-5-5": "us-gov us eu apac jp au global",
    "haiku-4-5-20251001-v1:0": "us eu apac jp au global",
    "haiku-5-5": "us-gov us eu apac jp au global",
    "fable-5": "us eu apac au global",
    "fable-5-1": "us-gov us eu global",
    "mythos-preview": "us apac au",
    "mythos-5": "us",
    "mythos-5-1": "us global",
}

_ID: Final = re.compile(r"anthropic\.claude-(?P<name>.+?)(?:-(?P<date>20\d{6}))?(?:-v\d+)?(?::\d+)?")


@dataclass(frozen=True, slots=True)
class Model:
    """What a model id stands for."""

    base: str  # anthropic.claude-…
    state: State = "ready"

    @property
    def family(self) -> str:
        """The name of its family."""
        match = _ID.fullmatch(self.base)
        return match["name"] if match else self.base

    @property
    def name(self) -> str:
        """The name that the model gives itself in its answers: Anthropic's."""
        match = _ID.fullmatch(self.base)
        return "-".join(("claude", *filter(None, (match["name"], match["date"])))) if match else self.base


def models_of(region: str) -> dict[str, Model]:
    """Return what can be named in a region: foundation models, and the inference profiles of its geography."""
    reachable = tuple(_prefixes(region))
    found: dict[str, Model] = {}
    for short, prefixes in _PROFILES.items():
        base = f"anthropic.claude-{short}"
        state: State = "ended" if short.startswith("3-") else "ready"
        found[base] = Model(base, "ended" if state == "ended" else "profile-only")
        for prefix in prefixes.split():
            if prefix in reachable:
                found[f"{prefix}.{base}"] = Model(base, state)
    return found


def _prefixes(region: str) -> Iterator[str]:
    if region.startswith("us-gov-"):
        yield "us-gov"
        return
    yield "global"
    if region.startswith(("us-", "ca-")):
        yield "us"
    elif region.startswith("eu-"):
        yield "eu"
    elif region.startswith("ap-"):
        yield "apac"
        if region in ("ap-northeast-1", "ap-northeast-3"):
            yield "jp"
        elif region in ("ap-southeast-2", "ap-southeast-4"):
            yield "au"
