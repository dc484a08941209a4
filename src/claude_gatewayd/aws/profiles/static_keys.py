"""Keys in a file or in the environment, which nothing renews."""

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from claude_gatewayd.aws.facts import Validity
from claude_gatewayd.aws.keys import AwsKeys

KEY_ID, SECRET, TOKEN = "aws_access_key_id", "aws_secret_access_key", "aws_session_token"
# Written beside temporary keys by saml2aws and the like, aws-azure-login, aws-mfa.
_ENDS = ("x_security_token_expires", "aws_expiration", "expiration")
_BEARER = "bedrock-api-key-"


def of_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the keys of the environment, named as in a profile."""
    names = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN,
             "AWS_CREDENTIAL_EXPIRATION": "aws_expiration"}  # fmt: skip
    return {ours: environ[theirs] for theirs, ours in names.items() if environ.get(theirs)}


def keys_of(values: Mapping[str, str]) -> AwsKeys:
    """Return the keys of a profile."""
    return AwsKeys(values[KEY_ID], values[SECRET], values.get(TOKEN) or values.get("aws_security_token", ""))


def validity_of(values: Mapping[str, str], now: float) -> Validity:
    """Return how long they are valid, if that is written beside them."""
    ends = next((seconds for name in _ENDS if (seconds := parse_time(values.get(name, ""))) is not None), None)
    return Validity(now, ends)


def parse_time(text: object) -> float | None:
    """Return a time in ISO 8601 as seconds since the epoch, None if it is not one; without a zone it is UTC."""
    if not isinstance(text, str) or not text:
        return None
    try:
        read = datetime.fromisoformat(text.strip())
        return (read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def bearer_validity(bearer: str, now: float) -> Validity:
    """Return how long a Bedrock API key is valid: a short-term one is a signed URL with an expiry, in base64."""
    if not bearer.startswith(_BEARER):
        return Validity(now)
    try:
        signed = bearer.removeprefix(_BEARER)
        query = parse_qs(urlsplit(base64.b64decode(signed + "=" * (-len(signed) % 4)).decode()).query)
        begins = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        ends = begins + timedelta(seconds=int(query["X-Amz-Expires"][0]))
    except (binascii.Error, ValueError, KeyError, OverflowError):
        return Validity(now)
    return Validity(begins.timestamp(), ends.timestamp())


def jwt_expiry(token: str) -> float | None:
    """Return when a web identity token says that it expires; only AWS can verify that."""
    try:
        body = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return float(claims["exp"])
    except (IndexError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
