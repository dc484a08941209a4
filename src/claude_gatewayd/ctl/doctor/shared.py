"""Checks of a gateway for a team: what it shares with others, and the keys of who may call it. Pure."""

from collections.abc import Iterator, Sequence

from claude_gatewayd.config.model import SharedConfig
from claude_gatewayd.ctl.doctor.finding import Finding, Status, ok
from claude_gatewayd.ctl.keys import listing
from claude_gatewayd.ctl.terminal.text import counted
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ledger.keys.named_key import KeyOwner
from claude_gatewayd.system.clock_time import clock_time

_CHECK = "shared state"


def shared(config: SharedConfig, secret: GatewayError | None, status: Status | None, now: float) -> Iterator[Finding]:
    """Judge what the daemon says of it. *secret* is why the secret's file cannot be used, as far as we see it."""
    how = (status or {}).get("shared", {})  # a daemon of an older version has none
    state = how.get("state", "off")
    if not config.url and state == "off":
        return
    goes_on = "the gateway serves all the same, with what it finds out itself: limits, credentials and budget"
    if state == "refused":
        yield Finding(_CHECK, "fail", f"nothing is shared with other gateways: {how['why']}", goes_on, how["hint"])
    elif secret is not None:
        when = "from the next reload on nothing is shared" if state == "connected" else "nothing is shared"
        yield Finding(_CHECK, "fail", f"{when}: {secret.message}", goes_on, secret.hint)
    elif state == "away":
        since = f" since {clock_time(how['since'], now)}" if how["since"] is not None else ""
        yield Finding(
            _CHECK, "fail", f"its database {how['database']} is away{since}: {how['why']}",
            f"{goes_on}; it catches up when the database is back", how["hint"],
        )  # fmt: skip
    elif state == "off" and status is not None:
        yield Finding(
            _CHECK, "note", "the daemon does not share yet", "[shared] was added to the configuration since it started",
            "claude-gatewayctl reload",
        )  # fmt: skip
    elif state == "connecting":
        yield Finding(
            _CHECK, "note", f"it is being connected to {how['database']}", "the daemon has just started",
            "claude-gatewayctl doctor",
        )  # fmt: skip
    elif state == "connected" and not how["others"]:
        yield Finding(
            _CHECK, "note", "no other gateway is there",
            "none was heard of for half a minute; if there should be: is [shared] the same on all of them?",
            "claude-gatewayctl status",
        )  # fmt: skip
    elif state == "connected":
        others = how["others"]
        yield ok(_CHECK, f"with {counted(len(others), 'other gateway')}: {', '.join(others)}")


def named_keys(owners: Sequence[KeyOwner], now: float) -> Iterator[Finding]:
    """Judge the named keys: those that expire soon are named."""
    good = [one for one in owners if listing.state(one, now) == "good"]
    if not owners:
        return
    if not good:
        why = "requests for models need one, as there have been some"
        yield Finding("keys", "fail", "no named key is good any more", why, "claude-gatewayctl keys add NAME")
        return
    yield ok("keys", counted(len(good), "named key"))
    for one in listing.expiring(owners, now):
        mend = f"claude-gatewayctl keys rotate {one.name} --overlap 24h"
        found = f"the key of {one.name} expires {listing.when(one.expires_at, now)}"
        yield Finding("keys", "note", found, "from then on its owner gets 401", mend)
