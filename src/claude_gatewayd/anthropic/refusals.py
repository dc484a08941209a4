"""What a refusal of Anthropic's means, by its status, headers and message. Pure: a table, each row with its source."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

from claude_gatewayd.anthropic.errors import type_of

# Statuses whose meaning depends on the message.
READ_BY_MESSAGE: Final = frozenset((400, 402, 429))

Scope = Literal["account", "request"]

_NONE: Final[frozenset[str]] = frozenset()


class _Rule(NamedTuple):
    """A message that means: out of money or quota. *cause* is its name in `fallback_on`, if it has one.

    *scope* is what is refused: "account", all of its requests; "request", only requests of this kind. *text* is a
    pattern, compiled when a refusal is the first to need it: a start should not wait for it.
    """

    text: str
    cause: Literal["limit", "billing", ""]
    scope: Scope


_REFUSALS: Final = (
    # "Your credit balance is too low to access the Anthropic API." claude-code#66314 (400)
    _Rule("credit balance is too low", "billing", "account"),
    # "This organization has been disabled." claude-code#19028 (400)
    _Rule("organi[sz]ation has been disabled", "billing", "account"),
    # "You have reached your specified API usage limits. You will regain access on 2026-04-01 at 00:00 UTC."
    # claude-code#38038 (400); A: "... specified workspace API usage limits"
    _Rule("reached your specified (?:workspace )?api usage limits", "limit", "account"),
    # "You're out of extra usage. Add more at claude.ai/settings/usage and keep going." pi#2943 (400, of another client
    # than Anthropic's own), opencode-claude-auth#209 (429, of a long context)
    _Rule("out of extra usage", "limit", "request"),
    # "Third-party apps now draw from your extra usage, not your plan limits. ..." claude-code#45048 (400)
    _Rule("draw from (?:your )?extra usage", "limit", "request"),
    # "Extra usage is required for long context requests." claude-code#50784, CLIProxyAPI#2464 (429)
    _Rule("extra usage is required", "", "request"),
    # "This request would exceed your rate limit of 0 fast mode input tokens per minute" vorpal#76 (429)
    _Rule("fast mode", "", "request"),
    # A: a sharp increase in usage; "... would exceed your organization's maximum usage increase rate" (429)
    _Rule("acceleration limit|usage increase rate", "", "request"),
)
_REGAIN: Final = r"regain access on (\d{4}-\d\d-\d\d) at (\d\d:\d\d) UTC"


class Refusal(NamedTuple):
    """The upstream refuses because of a limit or of billing: the causes as named in `fallback_on`, and the scope.

    *reset* is when the limit resets, in seconds since the epoch; 0 if unknown.
    """

    causes: frozenset[str]
    scope: Scope
    reset: float = 0.0


def read_refusal(
    status: int, fields: Mapping[bytes, bytes], kind: str, message: str, unified_reset: float = 0.0
) -> Refusal | None:
    """Read what an answer says about limits and billing; None if it says nothing.

    *kind* and *message* are its error's, *unified_reset* is when a subscription's limit resets, as its header says.
    """
    if status not in READ_BY_MESSAGE:
        return None
    own = frozenset(("429",)) if status == 429 else _NONE
    for rule in _REFUSALS:
        if re.search(rule.text, message, re.IGNORECASE) and (rule.cause or own):
            return Refusal(own | {rule.cause} if rule.cause else own, rule.scope, _regained(message))
    if status == 402 or kind == type_of(402):
        return Refusal(own | {"billing"}, "account")
    if status != 429:
        return None
    if fields.get(b"anthropic-ratelimit-unified-status", b"") == b"rejected":
        return Refusal(own | {"limit"}, "account", unified_reset)
    reset = _moment(fields.get(b"anthropic-ratelimit-requests-reset", b"").decode("latin-1"))
    if fields.get(b"anthropic-ratelimit-requests-remaining", b"") == b"0" and reset:
        return Refusal(own | {"limit"}, "account", reset)
    return None


def _regained(message: str) -> float:
    found = re.search(_REGAIN, message)
    return _moment(f"{found[1]}T{found[2]}:00Z") if found is not None else 0.0


def _moment(text: str) -> float:
    """Read a time of RFC 3339; 0 for what is none."""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return 0.0
