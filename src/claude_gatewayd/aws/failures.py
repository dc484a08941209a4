"""What a failure to get keys means for a person: its cause, the reason, and the command that fixes it."""

import shlex
from typing import Final, NamedTuple

from claude_gatewayd.aws import clock
from claude_gatewayd.aws.client import AwsOffline, AwsRefused, AwsThrottled, CallFailed, WrongClock
from claude_gatewayd.aws.facts import Failure

_BAD_KEYS: Final = frozenset((
    "InvalidClientTokenId", "UnrecognizedClientException", "ExpiredToken", "ExpiredTokenException",
    "InvalidSignatureException", "SignatureDoesNotMatch", "InvalidAccessKeyId", "AuthFailure",
))  # fmt: skip


class FetchFailed(Exception):
    """An attempt to get keys brought none."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.why)
        self.failure = failure


class FailureContext(NamedTuple):
    """Whose credentials failed. *login_command* is what logs in again, "" where there is no login."""

    source: str
    profile: str
    login_command: str

    @property
    def check_command(self) -> str:
        """Return the command with which the AWS CLI shows the same failure."""
        return "aws sts get-caller-identity" + (f" --profile {shlex.quote(self.profile)}" if self.profile else "")


def from_call(error: CallFailed, context: FailureContext) -> Failure:
    """Return what a failed call means."""
    why = error.why
    if isinstance(error, WrongClock):
        return Failure("clock", why, clock.SET_CLOCK)
    if isinstance(error, AwsOffline):
        return Failure("offline", why)
    if isinstance(error, AwsThrottled):
        return Failure("busy", why)
    if not isinstance(error, AwsRefused):
        return Failure("broken", why, error.hint)
    if error.code in _BAD_KEYS:
        return keys_rejected(context.source, context.login_command or context.check_command, error.code)
    if error.code in ("ForbiddenException", "AccessDenied", "AccessDeniedException"):
        why = f"AWS does not let {context.source} use this account and role ({error.code})"
    else:
        why = f"AWS refuses {context.source} ({error.code or 'for no stated reason'})"
    return Failure("setup", why, context.check_command)


def login_ended(context: FailureContext) -> Failure:
    """Return that a person has to log in."""
    return Failure("login", f"the login of {context.source} has ended", context.login_command)


def not_logged_in(context: FailureContext) -> Failure:
    """Return that there is no login at all."""
    return Failure("login", f"nobody is logged in for {context.source}", context.login_command)


def keys_rejected(source: str, hint: str, code: str = "") -> Failure:
    """Return that AWS rejects the keys of *source*, which may itself be called keys."""
    the = "the " if source.startswith("keys ") else "the keys of " if source.startswith("profile ") else ""
    return Failure("refused", f"AWS rejects {the}{source}" + (f" ({code})" if code else ""), hint)


def wrong_clock(skew: float) -> Failure:
    """Return that this machine's clock is wrong; AWS's is *skew* seconds ahead of it."""
    return Failure("clock", clock.describe(skew), clock.SET_CLOCK)


def if_too_far_apart(skew: float) -> Failure | None:
    """Return the failure of a wrong clock if *skew* is more than AWS allows: what it signs next will be rejected."""
    return wrong_clock(skew) if abs(skew) > clock.MAX_SKEW else None
