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
        ("1767268800", None),
        (1767268800, None),
        (None, None),
        (["2026-01-01T12:00:00Z"], None),
    ],
)
def test_moments(text: object, moment: float | None) -> None:
    assert static_keys.parse_time(text) == moment


@pytest.mark.parametrize("name", ["x_security_token_expires", "aws_expiration", "expiration"])
def test_an_end_beside_the_keys(name: str) -> None:
    assert static_keys.validity_of({name: "2026-01-01T12:00:00Z"}, NOW) == Validity(NOW, AT)
    assert static_keys.validity_of({name: "soon"}, NOW) == Validity(NOW, None)


def test_an_end_in_the_environment() -> None:
    environ = {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_CREDENTIAL_EXPIRATION": "2026-01-01T12:00:00Z",
    }
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
