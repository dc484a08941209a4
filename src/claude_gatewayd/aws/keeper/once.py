"""One look at the credentials, without a daemon to keep them."""

from claude_gatewayd.aws.assess import assess
from claude_gatewayd.aws.failures import FetchFailed
from claude_gatewayd.aws.keeper.environment import KeyProvider
from claude_gatewayd.aws.snapshot import CredentialSnapshot


def check_once(provider: KeyProvider, now: float, *, check: bool) -> CredentialSnapshot:
    """Get keys from *provider*, and with *check* ask STS whose they are. Blocks, within the limits of AWS's clients."""
    facts = provider.facts()
    try:
        result = provider.fetch(keys=True, force=False)
        facts = facts._replace(keys=result.validity, login=result.login, failure=result.failure)
        if check and result.keys is not None and result.keys.access_key:
            account, role = provider.identity(result.keys)
            facts = facts._replace(account=account, role=role)
    except FetchFailed as failed:
        facts = facts._replace(failure=failed.failure, refused=failed.failure.cause == "refused")
    return assess(facts, now)._replace(next_check=None)  # nobody will
