"""One look at the credentials, without a daemon that keeps them."""

from dataclasses import replace

from claude_gatewayd.aws.assess import assess
from claude_gatewayd.aws.failures import Failed
from claude_gatewayd.aws.keeper.environment import Way
from claude_gatewayd.aws.snapshot import Snapshot


def look(way: Way, now: float, *, check: bool) -> Snapshot:
    """Get keys by *way*, and with *check* ask STS whose they are; return how it is. Blocks, by the clients' limits."""
    facts = way.facts()
    try:
        got = way.fetch(keys=True, force=False)
        facts = replace(facts, keys=got.life, login=got.login, failure=got.failure)
        if check and got.keys is not None and got.keys.access_key:
            account, role = way.identity(got.keys)
            facts = replace(facts, account=account, role=role)
    except Failed as failed:
        facts = replace(facts, failure=failed.failure, refused=failed.failure.cause == "refused")
    return replace(assess(facts, now), next_check=None)  # nobody renews what nobody keeps
