"""What a failure on the way to keys means for a person: its cause, why, and the command that mends it."""

import shlex
from dataclasses import dataclass
from typing import Final

from claude_gatewayd.aws import clock
from claude_gatewayd.aws.client import CallFailed, Offline, Refused, Throttled, WrongClock
from claude_gatewayd.aws.facts import Failure

_BAD_KEYS: Final = frozenset((
    "InvalidClientTokenId", "UnrecognizedClientException", "ExpiredToken", "ExpiredTokenException",
    "InvalidSignatureException", "SignatureDoesNotMatch", "InvalidAccessKeyId", "AuthFailure",
))  # fmt: skip


class Failed(Exception):
    """Nothing came of an attempt."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.why)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose credentials they are, for what a person is told. *login* is the command that begins them anew."""

    source: str
    profile: str
    login: str

    @property
    def check(self) -> str:
        """Return the command that shows the same failure in the SDK's words."""
        return "aws sts get-caller-identity" + (f" --profile {shlex.quote(self.profile)}" if self.profile else "")


def of(error: CallFailed, whose: Whose) -> Failure:
    """Return what a call that failed means."""
    why = error.why
    if isinstance(error, WrongClock):
        return Failure("clock", why, clock.SET_CLOCK)
    if isinstance(error, Offline):
        return Failure("offline", why)
    if isinstance(error, Throttled):
        return Failure("busy", why)
    if not isinstance(error, Refused):
        return Failure("broken", why, error.hint)
    if error.code in _BAD_KEYS:
        return refused(whose.source, whose.login or whose.check, error.code)
    if error.code in ("ForbiddenException", "AccessDenied", "AccessDeniedException"):
        return Failure("setup", f"AWS does not give {whose.source} this account and role ({error.code})", whose.check)
    return Failure("setup", f"AWS refuses {whose.source} ({error.code or 'without a word'})", whose.check)


def login(whose: Whose) -> Failure:
    """Return that a person has to log in."""
    return Failure("login", f"the login of {whose.source} has ended", whose.login)


def refused(source: str, hint: str, code: str = "") -> Failure:
    """Return that AWS does not take the keys of *source*, which may be a name for keys itself."""
    the = "the " if source.startswith("keys ") else "the keys of " if source.startswith("profile ") else ""
    return Failure("refused", f"AWS does not take {the}{source}" + (f" ({code})" if code else ""), hint)


def wrong_clock(skew: float) -> Failure:
    """Return that this machine's clock is wrong; AWS's is *skew* seconds ahead of it."""
    return Failure("clock", clock.describe(skew), clock.SET_CLOCK)
