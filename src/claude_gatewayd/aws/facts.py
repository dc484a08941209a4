"""What is known of the credentials: plain words that the keeper gathers and `assess` judges."""

from dataclasses import dataclass, replace
from typing import Literal, Self

from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.aws.snapshot import CredentialKind

# login: a person must log in. offline: nobody answers. clock: this machine's is wrong. refused: AWS does not take the
# keys. setup: the configuration must be mended. busy: AWS has no time. broken: anything else.
FailureCause = Literal["login", "offline", "clock", "refused", "setup", "busy", "broken"]


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong *times* in a row, the last time *at*. *why* is in plain words, *hint* a command."""

    cause: FailureCause
    why: str
    hint: str = ""
    at: float = 0.0
    times: int = 1

    def after(self, earlier: "Failure | None", now: float) -> Self:
        """Return it as what came after *earlier*."""
        times = earlier.times + 1 if earlier is not None and earlier.cause == self.cause else 1
        return replace(self, at=now, times=times)


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when something is good, on this machine's clock; *ends* is None where nobody knows."""

    since: float
    ends: float | None = None


@dataclass(frozen=True, slots=True)
class SsoLogin:
    """An SSO login as its file has it."""

    since: float
    ends: float
    refreshable: bool = False
    registration_ends: float | None = None


@dataclass(frozen=True, slots=True)
class CredentialFacts:
    """All that is known. *keys* is None while there are none; *renewable*: asking again gives others.

    The *kind* of a profile that is broken is "none". *refused*: AWS has not taken these very keys. *failure* is of the
    last attempt, None once one has succeeded. *mend* is the command by which a person begins anew.
    """

    kind: CredentialKind
    source: str = ""
    profile: str = ""
    renewable: bool = True
    keys: Validity | None = None
    refused: bool = False
    login: SsoLogin | None = None
    failure: Failure | None = None
    login_command: str = ""
    account: str = ""
    role: str = ""


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What an attempt brought. *keys* is None where none were wanted; *failure* is what went wrong all the same."""

    keys: AwsKeys | None = None
    validity: Validity | None = None
    login: SsoLogin | None = None
    failure: Failure | None = None
