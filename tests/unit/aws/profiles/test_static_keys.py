"""Keys that are written down: until when they are good, as far as anybody has written that."""

import base64
import json
from datetime import UTC, datetime

import pytest

from claude_gatewayd.aws.facts import Validity
from claude_gatewayd.aws.profiles import static_keys

NOW = 1_800_000_000.0
AT = datetime(2026, 1, 1, 12, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-01T12:00:00Z", AT),
        ("2026-01-01T12:00:00+00:00", AT),
        ("2026-01-01T13:00:00+01:00", AT),
        ("2026-01-01T12:00:00", AT),
        ("2026-01-01 12:00:00", AT),
        (" 2026-01-01T12:00:00Z ", AT),
        ("20260101T120000Z", AT),
        ("", None),
        ("soon", None),
        ("1767268800", AT),
        ("1767268800000", AT),
        ("17672688", None),
        ("\u0661767268800", None),
        ('"2026-01-01T12:00:00Z"', AT),
        ("2026-01-01T12:00:00.000Z", AT),
        ("2026-01-01T12:00:00+0000", AT),
        ("2026-01-01 12:00:00+00:00", AT),
        ("2026-01-01 12:00:00 +0000 UTC", AT),
        ("2026-01-01 13:00:00.123456789 +0100 CET", AT + 0.123456),
        ("2026-01-01 12:00:00.5 +0000 UTC m=+3600.012345678", AT + 0.5),
        ("2026-01-01 12:00:00 UTC", AT),
        ("2026-01-01 12:00:00 CET", None),
        ("Thu, 01 Jan 2026 12:00:00 GMT", AT),
        ("Thu, 01 Jan 2026 13:00:00 +0100", AT),
        ("Thu, soon", None),
        (1767268800, None),
        (None, None),
        (["2026-01-01T12:00:00Z"], None),
    ],
)
def test_moments(text: object, moment: float | None) -> None:
    assert static_keys.parse_time(text) == moment


@pytest.mark.parametrize("name", [
    "x_security_token_expires", "aws_expiration", "expiration", "aws_session_expiration", "aws_credential_expiration",
    "aws_session_token_expiration", "expires_at", "aws_session_token_expires_at_ms", "expiry",
])  # fmt: skip
def test_an_end_beside_the_keys(name: str) -> None:
    assert static_keys.validity_of({name: "2026-01-01T12:00:00Z"}, NOW) == Validity(NOW, AT)
    assert static_keys.validity_of({name: "soon"}, NOW) == Validity(NOW, None)


def test_an_end_that_another_tool_left_counts_for_nothing() -> None:
    values = {"expiration": "2020-01-01 12:00:00", "x_security_token_expires": "2026-01-01T12:00:00Z"}
    assert static_keys.validity_of(values, NOW) == Validity(NOW, AT)


@pytest.mark.parametrize("name", ["AWS_CREDENTIAL_EXPIRATION", "AWS_SESSION_EXPIRATION", "AWS_EXPIRATION"])
def test_an_end_in_the_environment(name: str) -> None:
    environ = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", name: "2026-01-01T12:00:00Z"}
    assert static_keys.validity_of(static_keys.of_environment(environ), NOW) == Validity(NOW, AT)


def bearer(query: str, *, prefix: str = "bedrock-api-key-") -> str:
    return prefix + base64.b64encode(f"bedrock.amazonaws.com/?{query}".encode()).decode()


GOOD = "Action=CallWithBearerToken&X-Amz-Date=20260101T120000Z&X-Amz-Expires=43200&X-Amz-Signature=s"


@pytest.mark.parametrize(
    ("key", "ends"),
    [
        (bearer(GOOD), AT + 43200),
        (bearer(GOOD).rstrip("="), AT + 43200),
        (bearer(GOOD, prefix="ABSK"), None),
        (bearer("X-Amz-Date=20260101T120000Z"), None),
        (bearer("X-Amz-Date=today&X-Amz-Expires=43200"), None),
        (bearer("X-Amz-Date=20260101T120000Z&X-Amz-Expires=long"), None),
        ("bedrock-api-key-invented-by-the-heron", None),
        ("bedrock-api-key-", None),
        ("bedrock-api-key-\xff", None),
    ],
)
def test_the_end_of_a_bedrock_api_key(key: str, ends: float | None) -> None:
    assert static_keys.bearer_validity(key, NOW).ends == ends


def jwt(claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.signature"


@pytest.mark.parametrize(
    ("token", "ends"),
    [
        (jwt({"exp": 1767268800}), 1767268800.0),
        (jwt({"exp": "never"}), None),
        (jwt({"sub": "x"}), None),
        (jwt([1]), None),
        ("invented.web.identity", None),
        ("opaque", None),
        ("", None),
        ("a.\xff.c", None),
    ],
)
def test_the_end_of_a_web_identity(token: str, ends: float | None) -> None:
    assert static_keys.jwt_expiry(token) == ends
