"""The state of the credentials for Bedrock at one moment: for `status`, notices and `credentials`."""

from typing import Any, Literal, NamedTuple

CredentialState = Literal["unconfigured", "ok", "expiring", "login-needed", "down"]
CredentialKind = Literal[
    "none", "sso", "sso-legacy", "role-chain", "process", "static", "temporary", "web-identity", "login", "bearer",
    "container",
]  # fmt: skip


class CredentialSnapshot(NamedTuple):
    """The credentials at one moment. Times are seconds since the epoch, None if they are not known or have no end.

    *source* says for people where they come from. *refreshable*: the login renews itself until AWS ends the session.
    *works_until* is when Bedrock stops unless somebody acts. *why* is the last error, for people, *hint* the command
    that fixes it, "" if all is well. *account* and *role* are what STS says, "" before it was asked.
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
        """Return it as it stands in the status."""
        return self._asdict()
