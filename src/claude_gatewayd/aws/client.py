"""Calls to AWS: clients with time limits, and what their failures mean. All of it blocks.

botocore is imported in functions: that takes a third of a second, and many never use Bedrock. It reads endpoints from
the process's environment and the profile, as every AWS tool does; `Egress` decides how they are reached. boto3 would
add nothing but 3 MB of memory.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from claude_gatewayd.aws import clock
from claude_gatewayd.aws.errors import AwsError
from claude_gatewayd.aws.unreachable import CannotReach
from claude_gatewayd.errors import ConfigInvalid
from claude_gatewayd.network.egress import Egress

_CONNECT_TIMEOUT, _READ_TIMEOUT, _ATTEMPTS = 5.0, 20.0, 3


class CallFailed(AwsError):
    """A call failed. *code* is AWS's code for the error, "" if AWS gave none."""

    def __init__(self, action: str, why: str, hint: str = "", *, code: str = "") -> None:
        super().__init__(action, why, hint)
        self.code = code


class AwsOffline(CallFailed):
    """AWS cannot be reached: this says nothing about the credentials."""


class AwsThrottled(CallFailed):
    """AWS asks for fewer requests."""


class AwsServiceError(CallFailed):
    """AWS has an internal error, or its response makes no sense."""


class AwsRefused(CallFailed):
    """AWS refuses the request; *code* says why."""


class WrongClock(CallFailed):
    """This machine's clock is so far off that AWS rejects its signatures."""


class AwsCall(NamedTuple):
    """A call of *operation* of *service* in *region*, at the endpoint of *profile*.

    *action* is what it is for: "cannot *action*: …". It is signed with *keys* (aws_access_key_id=…), or not at all.
    """

    service: str
    operation: str
    action: str
    region: str
    profile: str
    arguments: dict[str, Any]
    keys: dict[str, str]

    def __repr__(self) -> str:
        """Return it without what is secret."""
        return f"AwsCall({self.service!r}, {self.operation!r})"


AskAws = Callable[[AwsCall, Egress], dict[str, Any]]  # it raises CallFailed


class _NoTable:
    """Stands in for botocore's table of all endpoints of all services, which takes 7 MB of memory.

    Endpoints come from the rules that each service's model brings; `tests/unit/aws/test_client.py` compares.
    """

    uses_builtin_data = True

    def construct_endpoint(self, *_args: object, **_options: object) -> None:
        """Know none: the caller goes by the service's rules."""


def make_client(service: str, region: str, egress: Egress, profile: str = "", **keys: str) -> Any:
    """Return a client of *service* that signs with *keys* (aws_access_key_id=…), or not at all. Raises CallFailed.

    It uses the endpoints that *profile* configures, but never its keys.
    """
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import ConfigParseError
    from botocore.session import Session

    from claude_gatewayd.aws.sending import Sender

    limits = Config(
        region_name=region,
        connect_timeout=_CONNECT_TIMEOUT,
        read_timeout=_READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
    )
    config = limits if keys else limits.merge(Config(signature_version=UNSIGNED))
    try:
        session = Session(profile=profile or None)
        session._register_internal_component("endpoint_resolver", _NoTable())  # private in botocore 1.44
        session.register("before-send", Sender(egress, _CONNECT_TIMEOUT, _READ_TIMEOUT))
        return session.create_client(service, config=config, **keys)
    except ConfigInvalid as invalid:
        problem = invalid.problems[0]
        raise AwsServiceError(f"ask {service}", f"{problem.where}: {problem.message}", problem.hint) from None
    except ConfigParseError as error:  # it changed just now, or only the keys of the environment are used
        path = str(error.kwargs["path"])
        why = f"the AWS SDK cannot read {path}"
        raise AwsServiceError(f"ask {service}", why, "aws configure list-profiles") from None
    except Exception as error:  # the SDK may raise anything about settings that only it reads
        raise _as_failure(error, f"ask {service}") from None


def ask(asked: AwsCall, egress: Egress) -> dict[str, Any]:
    """Return the response to a call. Raises CallFailed."""
    service = make_client(asked.service, asked.region, egress, asked.profile, **asked.keys)
    return call(getattr(service, asked.operation), asked.action, **asked.arguments)


def call(function: Callable[..., Any], action: str, **arguments: object) -> dict[str, Any]:
    """Return the response of a client's *function*. Raises CallFailed, which says "cannot *action*: …"."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError  # it is not one of BotoCoreError

    try:
        response: dict[str, Any] = function(**arguments)
    except ResponseParserError:
        why = "the response is not from AWS, but from a proxy or the login page of a network"
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
    """Raise WrongClock if *response*, which has just arrived, shows that AWS would reject our signatures."""
    skew = clock.skew_of(response, time.time())
    if abs(skew) > clock.MAX_SKEW:
        raise _wrong_clock(action, skew)


def _wrong_clock(action: str, skew: float) -> WrongClock:
    return WrongClock(action, clock.describe(skew), clock.SET_CLOCK)


def _as_failure(error: Exception, action: str) -> CallFailed:
    """Return the SDK's error as one of ours, without its text, which may contain anything."""
    from botocore import exceptions

    response: Mapping[str, Any] = getattr(error, "response", None) or {}
    code = str(response.get("Error", {}).get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if isinstance(error, (exceptions.ConnectionError, exceptions.HTTPClientError, OSError)):
        host = urlsplit(str(getattr(error, "kwargs", {}).get("endpoint_url", ""))).hostname
        at = f" at {host}" if host else ""  # a misspelt region looks the same as no network
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
        return AwsServiceError(action, f"AWS has an internal error ({code or status})", code=code)
    return AwsRefused(action, f"AWS says {code or status}", code=code)
