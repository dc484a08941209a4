"""Asking AWS: a client with limits, what its failures mean, and how far its clock is from ours. All of it blocks.

botocore is imported where it is used: it takes a third of a second, and not everybody falls back. It takes endpoints
from the process's environment and the profile, as with every tool of AWS; how they are reached is Egress's to say.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from claude_gatewayd.aws import clock
from claude_gatewayd.aws.errors import AwsError
from claude_gatewayd.aws.unreachable import CannotReach
from claude_gatewayd.errors import ConfigInvalid
from claude_gatewayd.network.egress import Egress

_CONNECT_WITHIN, _ANSWER_WITHIN, _TRIES = 5.0, 20.0, 3


class CallFailed(AwsError):
    """AWS did not do what it was asked for. *code* is its name for that, "" where it did not get to say one."""

    def __init__(self, action: str, why: str, hint: str = "", *, code: str = "") -> None:
        super().__init__(action, why, hint)
        self.code = code


class AwsOffline(CallFailed):
    """AWS cannot be reached: nothing is said about the credentials."""


class AwsThrottled(CallFailed):
    """AWS asks for fewer requests."""


class AwsServiceError(CallFailed):
    """AWS is out of order, or answers what nobody expects."""


class AwsRefused(CallFailed):
    """AWS says no, and says with *code* why."""


class WrongClock(CallFailed):
    """This machine's clock is so far off that AWS refuses what it signs."""


def make_client(service: str, region: str, egress: Egress, profile: str = "", **keys: str) -> Any:
    """Return a client of *service*, which signs with *keys* (aws_access_key_id=…) or not at all. Raises CallFailed.

    It takes what *profile* says about where AWS is, but never its keys.
    """
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import ConfigParseError

    from claude_gatewayd.aws.sending import Sender

    limits = Config(
        region_name=region,
        connect_timeout=_CONNECT_WITHIN,
        read_timeout=_ANSWER_WITHIN,
        retries={"mode": "standard", "total_max_attempts": _TRIES},
    )
    config = limits if keys else limits.merge(Config(signature_version=UNSIGNED))
    try:
        session = boto3.Session(profile_name=profile or None)
        session.events.register("before-send", Sender(egress, _CONNECT_WITHIN, _ANSWER_WITHIN))
        return session.client(service, config=config, **keys)
    except ConfigInvalid as invalid:
        problem = invalid.problems[0]
        raise AwsServiceError(f"ask {service}", f"{problem.where}: {problem.message}", problem.hint) from None
    except ConfigParseError as error:  # the SDK takes less for a configuration than we do
        path = str(error.kwargs["path"])
        why = f"the AWS SDK cannot read {path}"
        raise AwsServiceError(f"ask {service}", why, "aws configure list-profiles") from None
    except Exception as error:  # whatever an SDK raises over a configuration that only it reads
        raise _as_failure(error, f"ask {service}") from None


def call(function: Callable[..., Any], action: str, **arguments: object) -> dict[str, Any]:
    """Return the answer of a client's *function*; raise CallFailed, with "cannot *what*: …", where there is none."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError  # none of the SDK's other errors

    try:
        response: dict[str, Any] = function(**arguments)
    except ResponseParserError:
        why = "what answers is not AWS (a proxy or the login page of a network between)"
        raise AwsServiceError(action, why) from None
    except CannotReach as error:
        kind = AwsOffline if error.failed.kind in ("offline", "connect", "timeout") else AwsServiceError
        raise kind(action, error.failed.detail, error.failed.hint) from None
    except ConfigInvalid as invalid:
        problem = invalid.problems[0]
        raise AwsServiceError(action, f"{problem.where}: {problem.message}", problem.hint) from None
    except (BotoCoreError, ClientError, OSError) as error:
        raise _as_failure(error, action) from None
    return response


def check_clock(response: Mapping[str, Any], action: str) -> None:
    """Raise WrongClock where an answer that has just come shows that AWS would not accept a signature of ours."""
    skew = clock.skew_of(response, time.time())
    if abs(skew) > clock.MAX_SKEW:
        raise _wrong_clock(action, skew)


def _wrong_clock(action: str, skew: float) -> WrongClock:
    return WrongClock(action, clock.describe(skew), clock.SET_CLOCK)


def _as_failure(error: Exception, action: str) -> CallFailed:
    """Say in our words what the SDK says in its own, which may hold anything."""
    from botocore import exceptions

    response: Mapping[str, Any] = getattr(error, "response", None) or {}
    code = str(response.get("Error", {}).get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if isinstance(error, (exceptions.ConnectionError, exceptions.HTTPClientError, OSError)):
        host = urlsplit(str(getattr(error, "kwargs", {}).get("endpoint_url", ""))).hostname
        at = f" at {host}" if host else ""  # a region that there is not looks the same as no network
        return AwsOffline(action, f"AWS cannot be reached{at}; this machine seems to be offline")
    if not isinstance(error, exceptions.ClientError):
        return AwsServiceError(action, f"the AWS SDK refuses it ({type(error).__name__})", "aws configure list")
    skew = clock.skew_of(response, time.time())
    text = str(response.get("Error", {}).get("Message", ""))
    if "Signature expired" in text or "Signature not yet current" in text:
        return _wrong_clock(action, skew)
    if status == 429 or code in ("SlowDown", "Throttling", "ThrottlingException", "TooManyRequestsException"):
        return AwsThrottled(action, "AWS asks for fewer requests", code=code)
    if status >= 500:
        return AwsServiceError(action, f"AWS is out of order ({code or status})", code=code)
    return AwsRefused(action, f"AWS says {code or status}", code=code)
