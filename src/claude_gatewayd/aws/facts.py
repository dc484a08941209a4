"""What is known about the credentials: facts that the keeper gathers, and `assess` draws conclusions from."""

from typing import Literal, NamedTuple, Self

from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.aws.snapshot import CredentialKind

# login: a person must log in. offline: AWS cannot be reached. clock: this machine's is wrong. refused: AWS rejects the
# keys. setup: the configuration must be fixed. busy: AWS throttles. broken: anything else.
FailureCause = Literal["login", "offline", "clock", "refused", "setup", "busy", "broken"]


class Failure(NamedTuple):
    """What went wrong *times* in a row, the last time *at*. *why* is for people, *hint* a command."""

    cause: FailureCause
    why: str
    hint: str = ""
    at: float = 0.0
    times: int = 1

    def after(self, earlier: "Failure | None", now: float) -> Self:
        """Return this failure as the one that followed *earlier*."""
        times = earlier.times + 1 if earlier is not None and earlier.cause == self.cause else 1
        return self._replace(at=now, times=times)


class Validity(NamedTuple):
    """From when to when something is valid, by this machine's clock; *ends* is None if it is not known."""

    since: float
    ends: float | None = None


class LoginFacts(NamedTuple):
    """An SSO login, as its token file describes it."""

    since: float
    ends: float
    refreshable: bool = False
    registration_ends: float | None = None


class CredentialFacts(NamedTuple):
    """All that is known. *keys* is None while there are none; *renewable*: asking again gives new ones.

    The *kind* of a broken profile is "none". *refused*: AWS rejected these very keys. *failure* is that of the last
    attempt, None if it succeeded. *unreadable*: the files cannot be used at the moment. *login_command* is how a
    person logs in again, "" where there is no login.
    """

    kind: CredentialKind
    source: str = ""
    profile: str = ""
    renewable: bool = True
    keys: Validity | None = None
    refused: bool = False
    login: LoginFacts | None = None
    failure: Failure | None = None
    login_command: str = ""
    account: str = ""
    role: str = ""
    unreadable: bool = False


class FetchResult(NamedTuple):
    """What an attempt brought. *keys* is None if none were wanted; *failure* is what went wrong nevertheless."""

    keys: AwsKeys | None = None
    validity: Validity | None = None
    login: LoginFacts | None = None
    failure: Failure | None = None
