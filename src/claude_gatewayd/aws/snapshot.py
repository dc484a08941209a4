"""How the credentials behind Bedrock are, at one moment: what `status`, warnings and `credentials` speak of."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

CredentialState = Literal["unconfigured", "ok", "expiring", "login-needed", "down"]
CredentialKind = Literal[
    "none", "sso", "sso-legacy", "role-chain", "process", "static", "temporary", "web-identity", "login", "bearer",
    "container",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class CredentialSnapshot:
    """The credentials at one moment. Times are seconds since the epoch, None where they are not known or have no end.

    *source* is how a person calls where they come from. *refreshable*: the login renews itself until AWS ends it.
    *works_until* is when Bedrock stops unless somebody acts; *why* is the last error in plain words, *hint* the command
    that mends it, both "" where all is well. *account* and *role* are what STS says, "" before it was asked.
    """

    state: CredentialState
    kind: CredentialKind
    source: str = ""
    profile: str = ""
    refreshable: bool = False
    token_ends: float | None = None
    registration_ends: float | None = None
    keys_end: float | None = None
    works_until: float | None = None
    next_check: float | None = None
    why: str = ""
    hint: str = ""
    account: str = ""
    role: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the form it has in the status."""
        return asdict(self)
