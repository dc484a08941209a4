"""Calls of the fake Bedrock, and what comes of them, decoded."""

import base64
import http.client
import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from zlib import crc32

from tests.fakes.anthropic_http import Head
from tests.fakes.bedrock import INVOKE, STREAM, FakeBedrock
from tests.fakes.bedrock_sigv4 import STAMP, Key, canonical_request, sign

OPUS = "us.anthropic.claude-opus-5-5"
SONNET_45 = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
HAIKU_45 = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
BETAS = ["interleaved-thinking-2025-05-14", "tool-search-tool-2025-10-19", "thinking-token-count-2026-05-13"]
EXTRA = "Extra inputs are not permitted"


def ask(prompt: str = "hi", **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": prompt}]
    return {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 99, "messages": messages, **fields}


def signed_headers(
    fake: FakeBedrock,
    target: str,
    body: bytes,
    *,
    key: Key | None = None,
    at: datetime | None = None,
    region: str = "us-west-2",
    service: str = "bedrock",
    names: tuple[str, ...] = ("content-type", "host", "x-amz-date", "x-amz-security-token"),
) -> dict[str, str]:
    """Sign as an SDK does; the test against AWS's own example, and boto3, show that this is how."""
    key = key or fake.key
    stamp = (at or datetime.now(UTC)).strftime(STAMP)
    headers = {"content-type": "application/json", "host": f"127.0.0.1:{fake.port}", "x-amz-date": stamp}
    if key.token:
        headers["x-amz-security-token"] = key.token
    names = tuple(name for name in names if name in headers)
    raw = tuple((name.encode(), value.encode()) for name, value in headers.items())
    request = canonical_request(Head(b"", "POST", target, "HTTP/1.1", raw), list(names), body)
    scope = (stamp[:8], region, service)
    signature = sign(key.secret, scope, stamp, request)
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key.access_key}/{'/'.join(scope)}/aws4_request, "
        f"SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    return headers


def target_of(model: str, operation: str = INVOKE) -> str:
    return f"/model/{quote(model, safe='')}/{operation}"


def post(
    fake: FakeBedrock,
    body: object,
    *,
    model: str = OPUS,
    operation: str = INVOKE,
    headers: dict[str, str] | None = None,
    **signing: Any,
) -> tuple[http.client.HTTPResponse, bytes]:
    target = target_of(model, operation)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with calling(fake) as connection:
        connection.request("POST", target, data, headers or signed_headers(fake, target, data, **signing))
        answer = connection.getresponse()
        return answer, answer.read()


@contextmanager
def calling(fake: FakeBedrock) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", fake.port, timeout=10)
    try:
        yield connection
    finally:
        connection.close()


def refusal(fake: FakeBedrock, body: object, **how: Any) -> tuple[int, str, str]:
    """Return status, kind and text of an error."""
    answer, data = post(fake, body, **how)
    value = json.loads(data)
    kind = (answer.getheader("x-amzn-errortype") or "").partition(":")[0]
    return answer.status, kind, value.get("message") or value.get("Message", "")


Decoded = tuple[dict[str, str], bytes]


def messages_in(data: bytes) -> Iterator[Decoded]:
    """Decode an event stream by its specification, checking every length and CRC."""
    while data:
        total, size, crc = struct.unpack_from(">III", data)
        assert crc == crc32(data[:8])
        assert struct.unpack_from(">I", data, total - 4)[0] == crc32(data[: total - 4])
        headers, at = {}, 12
        while at < 12 + size:
            length = data[at]
            name = data[at + 1 : at + 1 + length].decode()
            kind, value_length = struct.unpack_from(">BH", data, at + 1 + length)
            assert kind == 7
            start = at + 4 + length
            headers[name] = data[start : start + value_length].decode()
            at = start + value_length
        yield headers, data[12 + size : total - 4]
        data = data[total:]


def events_in(data: bytes) -> list[dict[str, Any]]:
    """Decode a stream of Anthropic's events."""
    found = []
    for headers, payload in messages_in(data):
        assert headers == {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
        chunk = json.loads(payload)
        assert set(chunk) == {"bytes", "p"}
        found.append(json.loads(base64.b64decode(chunk["bytes"], validate=True)))
    return found


def stream(fake: FakeBedrock, body: dict[str, Any], **how: Any) -> list[dict[str, Any]]:
    answer, data = post(fake, body, operation=STREAM, **how)
    assert answer.status == 200, data
    assert answer.getheader("content-type") == "application/vnd.amazon.eventstream"
    assert answer.getheader("x-amzn-bedrock-content-type") == "application/json"
    return events_in(data)
