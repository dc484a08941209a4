"""What a key may do, and when it is good. Pure."""

from typing import Literal, NamedTuple

from claude_gatewayd.config.model import KeysConfig
from claude_gatewayd.ledger.keys.named_key import KeyLimits, NamedKey

Standing = Literal["good", "unknown", "expired", "revoked"]


class Allowed(NamedTuple):
    """What a key may do, with what `[keys]` says in place of what it does not say itself; 0 is no limit."""

    bedrock: bool
    monthly_budget: float
    requests_per_minute: int


def allowed(own: KeyLimits, defaults: KeysConfig) -> Allowed:
    """Return what a key may do."""
    return Allowed(
        defaults.bedrock if own.bedrock is None else own.bedrock,
        defaults.monthly_budget if own.monthly_budget is None else own.monthly_budget,
        defaults.requests_per_minute if own.requests_per_minute is None else own.requests_per_minute,
    )


def standing(key: NamedKey | None, now: float) -> Standing:
    """Return whether a key is good *now*, in seconds since the epoch."""
    if key is None:
        return "unknown"
    if key.is_revoked:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "good"


def obstacle(name: str, may: Allowed, spent: float, month: str) -> str:
    """Return why Bedrock does not answer who has a key, "" if it may. *spent* is in USD, in the *month*."""
    if not may.bedrock:
        return f"the key {name} may not use Bedrock"
    if may.monthly_budget and spent >= may.monthly_budget:
        return f"the budget of the key {name} for {month}, ${may.monthly_budget:,.2f}, is spent"
    return ""


def remedy(name: str, may: Allowed) -> str:
    """Return the command by which the gateway's operator allows it."""
    if not may.bedrock:
        return f"claude-gatewayctl keys set {name} --bedrock"
    return f"claude-gatewayctl keys set {name} --budget {2 * may.monthly_budget:g}"
