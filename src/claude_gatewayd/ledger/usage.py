"""The tokens that an answer used, by its `usage`: Anthropic's, or OpenAI's, as LiteLLM's other routes have it. Pure."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from claude_gatewayd.ledger.token_counts import TokenCounts

_MOST: Final = 10**12  # tokens: what is above is no count
_LONGEST_NAME: Final = 256
_LONGEST_WORD: Final = 32
_INPUTS: Final = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_5M, _1H = "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"

_REPLACED: Final = {
    "output_tokens": int,
    "iterations": list,
    "input_tokens_details": dict,
    "server_tool_use": dict,
    "service_tier": str,
    "speed": str,
    "inference_geo": str,
}

Usage = Mapping[str, Any]
_Count = Annotated[int, msgspec.Meta(ge=0, le=_MOST)] | None


class _Split(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: _Count = None
    ephemeral_1h_input_tokens: _Count = None


class _Tools(msgspec.Struct, gc=False):
    web_search_requests: _Count = None


class PlainUsage(msgspec.Struct, gc=False):
    """The usage of nearly all answers: Anthropic's, of one model, and all that it counts is a count.

    It is decoded and counted in a third of the time; `counted` counts the same, and all others.
    """

    input_tokens: _Count = None
    output_tokens: _Count = None
    cache_read_input_tokens: _Count = None
    cache_creation_input_tokens: _Count = None
    cache_creation: _Split | None = None
    server_tool_use: _Tools | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    # With these it is no plain one.
    iterations: Any = None
    prompt_tokens: Any = msgspec.UNSET
    input_tokens_details: Any = None

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing else to count."""
        return self.iterations is None and self.prompt_tokens is msgspec.UNSET and self.input_tokens_details is None

    def update(self, later: "PlainUsage") -> None:
        """Take what a later event of the same stream says; see `merged`."""
        split = later.cache_creation
        if split is not None:
            written = (split.ephemeral_5m_input_tokens or 0) + (split.ephemeral_1h_input_tokens or 0)
            if written:
                self.cache_creation, self.cache_creation_input_tokens = split, written
        if later.input_tokens:
            self.input_tokens = later.input_tokens
        if later.cache_read_input_tokens:
            self.cache_read_input_tokens = later.cache_read_input_tokens
        if later.cache_creation_input_tokens:
            self.cache_creation_input_tokens = later.cache_creation_input_tokens
        if later.output_tokens is not None:
            self.output_tokens = later.output_tokens
        if later.server_tool_use is not None:
            self.server_tool_use = later.server_tool_use
        if later.service_tier is not None:
            self.service_tier = later.service_tier
        if later.speed is not None:
            self.speed = later.speed
        if later.inference_geo is not None:
            self.inference_geo = later.inference_geo

    def counts(self) -> TokenCounts:
        """Return what it counts."""
        split, tools, tier, speed = self.cache_creation, self.server_tool_use, self.service_tier, self.speed
        written, hour, geo = self.cache_creation_input_tokens or 0, 0, self.inference_geo
        if split is not None:
            hour = split.ephemeral_1h_input_tokens or 0
            written = written or hour + (split.ephemeral_5m_input_tokens or 0)
            hour = min(hour, written)
        return TokenCounts(
            self.input_tokens or 0,
            self.output_tokens or 0,
            self.cache_read_input_tokens or 0,
            written - hour,
            hour,
            (tools.web_search_requests or 0) if tools is not None else 0,
            _word(tier) if tier else "",
            _word(speed) if speed else "",
            _word(geo) if geo else "",
        )


def counted(usage: Usage) -> TokenCounts:
    """Return what a `usage` counts, whoever's it is. What is no count in it is 0.

    Anthropic's own totals do not include a compaction, which is billed, too, and listed as an iteration.
    """
    if "prompt_tokens" in usage or isinstance(usage.get("input_tokens_details"), dict):
        return _openai(usage)
    counts = _anthropic(usage)
    if usage.get("iterations"):
        for iteration in _iterations(usage, "compaction"):
            counts = _sum(counts, _anthropic(iteration))
    return counts


def advised(usage: Usage) -> list[tuple[str, TokenCounts]]:
    """Return what advisors used in the course of an answer, each with its model. `counted` does not have it in it."""
    return [(name(found.get("model")), _anthropic(found)) for found in _iterations(usage, "advisor_message")]


def _iterations(usage: Usage, kind: str) -> list[Usage]:
    found = usage.get("iterations")
    if not isinstance(found, list):
        return []
    return [one for one in found if isinstance(one, dict) and one.get("type") == kind]


def merged(earlier: Usage, later: Usage) -> Usage:
    """Return the usage of a stream by two of its events. The later counts are cumulative, and may be left out, or 0.

    Claude Code does it likewise, so that both count the same.
    """
    if "prompt_tokens" in later:
        return later
    result = dict(earlier)
    split = later.get("cache_creation")
    if isinstance(split, dict) and (written := _count(split, _5M) + _count(split, _1H)):
        result["cache_creation"] = split
        result["cache_creation_input_tokens"] = written
    for field in _INPUTS:
        if count := _count(later, field):
            result[field] = count
    for field, kind in _REPLACED.items():
        if type(value := later.get(field)) is kind:
            result[field] = value
    return result


def name(value: object) -> str:
    """Return a model's name, or a message's id; "" for what cannot be one."""
    return value if isinstance(value, str) and len(value) <= _LONGEST_NAME and value.isprintable() else ""


def _sum(counts: TokenCounts, more: TokenCounts) -> TokenCounts:
    return counts._replace(
        input=counts.input + more.input,
        output=counts.output + more.output,
        cache_read=counts.cache_read + more.cache_read,
        cache_write_5m=counts.cache_write_5m + more.cache_write_5m,
        cache_write_1h=counts.cache_write_1h + more.cache_write_1h,
    )


def _anthropic(usage: Usage) -> TokenCounts:
    get = usage.get
    sent, output = get("input_tokens"), get("output_tokens")
    read, written = get("cache_read_input_tokens"), get("cache_creation_input_tokens")
    # Written out: it is done for each request, and a call for each field takes as long as all the rest.
    sent = sent if type(sent) is int and 0 < sent <= _MOST else 0
    output = output if type(output) is int and 0 < output <= _MOST else 0
    read = read if type(read) is int and 0 < read <= _MOST else 0
    written = written if type(written) is int and 0 < written <= _MOST else 0
    split, tools = get("cache_creation"), get("server_tool_use")
    hour = 0
    if isinstance(split, dict):
        hour = _count(split, _1H)
        written = written or hour + _count(split, _5M)
        hour = min(hour, written)
    tier, speed, geo = get("service_tier"), get("speed"), get("inference_geo")
    return TokenCounts(
        sent,
        output,
        read,
        written - hour,
        hour,
        _count(tools, "web_search_requests") if isinstance(tools, dict) else 0,
        _word(tier) if tier is not None else "",
        _word(speed) if speed is not None else "",
        _word(geo) if geo is not None else "",
    )


def _openai(usage: Usage) -> TokenCounts:
    """Count by OpenAI's usage, whose total of the prompt has the cached tokens in it."""
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
    details = details if isinstance(details, dict) else {}
    read = _count(details, "cached_tokens") or _count(usage, "cache_read_input_tokens")
    written = _count(usage, "cache_creation_input_tokens") or _count(details, "cache_creation_tokens")
    split = details.get("cache_creation_token_details")
    hour = min(written, _count(split, _1H)) if isinstance(split, dict) else 0
    prompt = _count(usage, "prompt_tokens") or _count(usage, "input_tokens")
    output = _count(usage, "completion_tokens") or _count(usage, "output_tokens")
    return TokenCounts(max(0, prompt - read - written), output, read, written - hour, hour)


def _word(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= _LONGEST_WORD and value.isprintable() else ""


def _count(usage: Usage, field: str) -> int:
    value = usage.get(field)
    return value if type(value) is int and 0 < value <= _MOST else 0
