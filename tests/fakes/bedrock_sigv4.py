"""Who may call the fake Bedrock, or STS: AWS Signature Version 4 by the documented algorithm, and bearer keys."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from posixpath import normpath
from typing import Final, Literal
from urllib.parse import parse_qsl, quote, urlsplit

from tests.fakes.anthropic_http import Head

State = Literal["live", "expired", "revoked", "denied"]

SERVICE: Final = "bedrock"
WINDOW: Final = timedelta(minutes=5)
STAMP: Final = "%Y%m%dT%H%M%SZ"

_AUTHORIZATION: Final = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=([^/,\s]+)/(\d{8})/([^/,\s]+)/([^/,\s]+)/aws4_request, *"
    r"SignedHeaders=([a-z0-9;-]+), *Signature=([0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class Key:
    """An AWS access key; a temporary one has a session token, and is worth nothing without it."""

    access_key: str
    secret: str
    token: str | None = None
    state: State = "live"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error of Bedrock's: its name and its text."""

    kind: str
    message: str
    front_door: bool = False  # said before Bedrock itself is asked, and a little otherwise: {"Message": …}


MISSING: Final = Refusal("MissingAuthenticationTokenException", "Missing Authentication Token")
INVALID_TOKEN: Final = Refusal("UnrecognizedClientException", "The security token included in the request is invalid.")
EXPIRED_TOKEN: Final = Refusal("ExpiredTokenException", "The security token included in the request is expired")
INVALID_BEARER: Final = Refusal(
    "AccessDeniedException", "Authentication failed: Please make sure your API Key is valid.", front_door=True
)
EXPIRED_BEARER: Final = Refusal("AccessDeniedException", "Bearer Token has expired", front_door=True)
MISMATCH: Final = Refusal(
    "InvalidSignatureException",
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
    "Key and signing method. Consult the service documentation for details.",
)


def check_bearer(token: str, bearers: Mapping[str, State]) -> Refusal | None:
    """Check a bearer key (AWS_BEARER_TOKEN_BEDROCK)."""
    state = bearers.get(token, "revoked")
    if state == "expired":
        return EXPIRED_BEARER
    return INVALID_BEARER if state == "revoked" else None


def check_signature(
    head: Head, body: bytes, *, keys: Mapping[str, Key], region: str, now: datetime, service: str = SERVICE
) -> Refusal | None:
    """Check a signature as AWS does: the key, its token, the date, the scope, and every byte that is signed."""
    given = _one(head, b"authorization")
    if not given:
        return MISSING
    match = _AUTHORIZATION.fullmatch(given)
    if match is None:
        return Refusal("IncompleteSignatureException", f"Authorization header requires 'Credential'. {given[:16]}")
    access_key, day, scope_region, scope_service, names, signature = match.groups()
    key = keys.get(access_key)
    if key is None or key.state == "revoked" or (_one(head, b"x-amz-security-token") or None) != key.token:
        return INVALID_TOKEN
    if key.state == "expired":
        return EXPIRED_TOKEN
    signed = names.split(";")
    stamp = _one(head, b"x-amz-date")
    refusal = (
        _check_headers(head, signed)
        or _check_date(stamp, day, now)
        or _check_scope(scope_region, scope_service, region=region, service=service)
        or _check_payload(head, body)
    )
    if refusal:
        return refusal
    expected = sign(key.secret, (day, scope_region, scope_service), stamp, canonical_request(head, signed, body))
    return None if hmac.compare_digest(expected, signature) else MISMATCH


def canonical_request(head: Head, signed: list[str], body: bytes) -> str:
    """Return what is hashed and signed: all but S3 encode the path once more than it is on the wire."""
    parts = urlsplit(head.target)
    path = quote(_normal(parts.path), safe="/~")
    pairs = parse_qsl(parts.query, keep_blank_values=True, encoding="latin-1")
    query = "&".join(sorted(f"{_quoted(name)}={_quoted(value)}" for name, value in pairs))
    lines = "".join(
        f"{name}:{','.join(' '.join(value.decode('latin-1').split()) for value in head.values(name.encode()))}\n"
        for name in signed
    )
    return "\n".join((head.method, path, query, lines, ";".join(signed), hashlib.sha256(body).hexdigest()))


def sign(secret: str, scope: tuple[str, str, str], stamp: str, request: str) -> str:
    """Return the signature of a canonical request."""
    key = f"AWS4{secret}".encode()
    for part in (*scope, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = "\n".join(("AWS4-HMAC-SHA256", stamp, "/".join((*scope, "aws4_request")), digest))
    return hmac.digest(key, text.encode(), "sha256").hex()


def access_key_of(authorization: str) -> str | None:
    """Return the access key that a signature names."""
    match = _AUTHORIZATION.fullmatch(authorization)
    return match[1] if match else None


def _check_headers(head: Head, signed: list[str]) -> Refusal | None:
    kind = "InvalidSignatureException"
    if "host" not in signed:
        return Refusal(kind, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    if signed != sorted(set(signed)):
        return MISMATCH
    present = {name.lower().decode("latin-1") for name, _ in head.headers}
    unsigned = [name for name in present if name.startswith("x-amz-") and name not in signed]
    missing = [name for name in signed if name not in present]
    if unsigned or missing:
        text = "There were headers present in the request which were not signed" if unsigned else MISMATCH.message
        return Refusal(kind, text)
    return None


def _check_date(stamp: str, day: str, now: datetime) -> Refusal | None:
    kind = "InvalidSignatureException"
    try:
        signed_at = datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)
    except ValueError:
        return Refusal("IncompleteSignatureException", "Date must be in ISO-8601 'basic format'.")
    if not stamp.startswith(day):
        return Refusal(kind, f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date: {stamp}")
    at, early, late = (moment.strftime(STAMP) for moment in (now, now - WINDOW, now + WINDOW))
    if signed_at < now - WINDOW:
        return Refusal(kind, f"Signature expired: {stamp} is now earlier than {early} ({at} - 5 min.)")
    if signed_at > now + WINDOW:
        return Refusal(kind, f"Signature not yet current: {stamp} is still later than {late} ({at} + 5 min.)")
    return None


def _check_scope(given: str, given_service: str, *, region: str, service: str) -> Refusal | None:
    kind = "InvalidSignatureException"
    if given != region:
        return Refusal(kind, f"Credential should be scoped to a valid region, not '{given}'. ")
    if given_service != service:
        return Refusal(kind, f"Credential should be scoped to correct service: '{service}'. ")
    return None


def _check_payload(head: Head, body: bytes) -> Refusal | None:
    given = _one(head, b"x-amz-content-sha256")
    return MISMATCH if given and given != hashlib.sha256(body).hexdigest() else None


def _normal(path: str) -> str:
    end = "/" if path.endswith("/") and len(path) > 1 else ""
    return "/" + normpath(path).lstrip("/") + end if path else "/"


def _quoted(text: str) -> str:
    return quote(text.encode("latin-1"), safe="-_.~")


def _one(head: Head, name: bytes) -> str:
    values = head.values(name)
    return values[0].decode("latin-1") if len(values) == 1 else ""
