"""Keys in a file or in the environment, which nothing renews."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from claude_gatewayd.aws.facts import Validity
from claude_gatewayd.aws.keys import AwsKeys

KEY_ID, SECRET, TOKEN = "aws_access_key_id", "aws_secret_access_key", "aws_session_token"
# Tools write the end of temporary keys beside them, by many names: x_security_token_expires (saml2aws), aws_expiration
# (aws-azure-login), expiration (aws-mfa), aws_session_expiration (gsts), aws_credential_expiration (gimme-aws-creds).
_ENDS = "expir"
# In what they write, beyond ISO 8601: Go's and Python's own form, with a blank before the offset or a zone's name.
_WITH_ZONE = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?) ?([+-]\d\d:?\d\d)?(?: (?:UTC|GMT|[A-Z]{3,4}))?")
_SECONDS = re.compile(r"\d{10}(?:\d{3})?", re.ASCII)  # since the epoch, or milliseconds
_BEARER = "bedrock-api-key-"


def of_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the keys of the environment, named as in a profile."""
    names = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN,
             "AWS_CREDENTIAL_EXPIRATION": "aws_expiration"}  # fmt: skip
    ends = {name: name.lower() for name in environ if name.startswith("AWS_") and _ENDS in name.lower()}
    return {ours: environ[theirs] for theirs, ours in (ends | names).items() if environ.get(theirs)}


def keys_of(values: Mapping[str, str]) -> AwsKeys:
    """Return the keys of a profile."""
    return AwsKeys(values[KEY_ID], values[SECRET], values.get(TOKEN) or values.get("aws_security_token", ""))


def validity_of(values: Mapping[str, str], now: float) -> Validity:
    """Return how long they are valid, if that is written beside them: the latest, where another tool left its own."""
    ends = [parse_time(value) for name, value in values.items() if _ENDS in name]
    return Validity(now, max((end for end in ends if end is not None), default=None))


def parse_time(text: object) -> float | None:
    """Return a time as seconds since the epoch, None if it is not one; without a zone it is UTC.

    It is ISO 8601, seconds or milliseconds since the epoch, or as Go, Python or an HTTP header print it.
    """
    if not isinstance(text, str):
        return None
    text = text.strip().strip("\"'")
    if _SECONDS.fullmatch(text):
        return int(text) / (1000 if len(text) == 13 else 1)
    from email.utils import parsedate_to_datetime  # here, for few profiles say when their keys end

    try:
        read = parsedate_to_datetime(text) if text[3:4] == "," else datetime.fromisoformat(_iso(text))
        return (read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def _iso(text: str) -> str:
    """Return a time of another form in ISO 8601; what is of none of them as it is."""
    found = _WITH_ZONE.fullmatch(text.partition(" m=")[0])  # Go adds its monotonic clock
    if found is None or (not found[2] and not text.endswith(("UTC", "GMT")) and text[-1:].isalpha()):
        return text
    return found[1] + (found[2] or "+00:00")


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
