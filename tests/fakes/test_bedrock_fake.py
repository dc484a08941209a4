"""The fake Bedrock knows who may call and what Bedrock refuses, and the real SDK reads its streams and its faults."""

import base64
import http.client
import importlib.util
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zlib import crc32

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.anthropic_http import Head
from tests.fakes.bedrock import (
    BEARER_KEY,
    COUNT,
    INVOKE,
    SIGNATURE,
    STREAM,
    FakeBedrock,
    model_of,
    operation_of,
    signer_of,
)
from tests.fakes.bedrock_body import BodyRefusedError, check_body
from tests.fakes.bedrock_frames import Part, frame
from tests.fakes.bedrock_model import ACCOUNT, ERRORS, EXCEPTIONS, PRIVATE
from tests.fakes.bedrock_models import FAMILIES, Model, models_of
from tests.fakes.bedrock_models import State as ModelState
from tests.fakes.bedrock_sigv4 import STAMP, Key, canonical_request, check_signature, sign

OPUS = "us.anthropic.claude-opus-5-5"
SONNET_45 = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
HAIKU_45 = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
BETAS = ["interleaved-thinking-2025-05-14", "tool-search-tool-2025-10-19", "thinking-token-count-2026-05-13"]
EXTRA = "Extra inputs are not permitted"


@pytest.fixture
def fake() -> Iterator[FakeBedrock]:
    with FakeBedrock() as fake:
        yield fake


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


class TestCallers:
    def test_signs_as_awss_own_example(self) -> None:
        head = Head(
            b"",
            "GET",
            "/?Action=ListUsers&Version=2010-05-08",
            "HTTP/1.1",
            (
                (b"Content-Type", b"application/x-www-form-urlencoded; charset=utf-8"),
                (b"Host", b"iam.amazonaws.com"),
                (b"X-Amz-Date", b"20150830T123600Z"),
            ),
        )
        request = canonical_request(head, ["content-type", "host", "x-amz-date"], b"")
        assert sha256(request.encode()).hexdigest() == (
            "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59"
        )
        secret, scope = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", ("20150830", "us-east-1", "iam")
        assert sign(secret, scope, "20150830T123600Z", request) == (
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        )

    @pytest.mark.parametrize("target", [target_of(SONNET_45), f"/model/{SONNET_45}/invoke", "/model//x/../a%2Fb%20c"])
    def test_signs_the_path_as_it_is_on_the_wire(self, fake: FakeBedrock, target: str) -> None:
        headers = signed_headers(fake, target, b"{}")
        raw = tuple((name.encode(), value.encode()) for name, value in headers.items())
        head = Head(b"", "POST", target, "HTTP/1.1", raw)
        now = datetime.now(UTC)
        assert check_signature(head, b"{}", keys=fake.keys, region="us-west-2", now=now) is None
        head = replace(head, target=target.replace("/model/", "/model/a"))
        found = check_signature(head, b"{}", keys=fake.keys, region="us-west-2", now=now)
        assert found
        assert found.kind == "InvalidSignatureException"

    def test_lets_a_key_in(self, fake: FakeBedrock) -> None:
        assert post(fake, ask())[0].status == 200
        fake.add_key(Key("AKIAINVENTEDFORGOOD1", "for good"))
        assert post(fake, ask(), key=fake.keys["AKIAINVENTEDFORGOOD1"])[0].status == 200
        assert [signer_of(recorded) for recorded in fake.requests] == [fake.key.access_key, "AKIAINVENTEDFORGOOD1"]
        assert (fake.violations, fake.refusals) == ([], [])

    @pytest.mark.parametrize(
        ("signing", "kind", "text"),
        [
            ({"key": Key("ASIAINVENTEDBYHERON1", "wrong", "x")}, "UnrecognizedClientException", "token"),
            ({"key": Key("ASIAINVENTEDBYHERON1", "wrong")}, "UnrecognizedClientException", "is invalid."),
            ({"key": Key("AKIANOBODY", "x")}, "UnrecognizedClientException", "is invalid."),
            ({"region": "us-east-1"}, "InvalidSignatureException", "scoped to a valid region, not 'us-east-1'"),
            ({"service": "bedrock-runtime"}, "InvalidSignatureException", "correct service: 'bedrock'"),
            ({"names": ("content-type", "x-amz-date", "x-amz-security-token")}, "InvalidSignatureException", "'Host'"),
            ({"names": ("host", "x-amz-date")}, "InvalidSignatureException", "which were not signed"),
        ],
    )
    def test_keeps_others_out(self, fake: FakeBedrock, signing: dict[str, Any], kind: str, text: str) -> None:
        status, found, message = refusal(fake, ask(), **signing)
        assert (status, found) == (403, kind)
        assert text in message
        assert kind in fake.refusals[0]

    def test_looks_at_the_signature_itself(self, fake: FakeBedrock) -> None:
        wrong = refusal(fake, ask(), key=replace(fake.key, secret="wrong"))
        assert wrong[:2] == (403, "InvalidSignatureException")
        assert wrong[2].startswith("The request signature we calculated does not match the signature you provided.")
        headers = signed_headers(fake, target_of(OPUS), b"{}")
        assert refusal(fake, ask(), headers=headers) == wrong
        body = json.dumps(ask()).encode()
        headers = signed_headers(fake, target_of(OPUS), body) | {"x-amz-content-sha256": "0" * 64}
        assert refusal(fake, body, headers=headers)[0] == 403

    @pytest.mark.parametrize(("minutes", "text"), [(-6, "Signature expired: "), (6, "Signature not yet current: ")])
    def test_looks_at_the_clock(self, fake: FakeBedrock, minutes: int, text: str) -> None:
        at = datetime.now(UTC) + timedelta(minutes=minutes)
        status, kind, message = refusal(fake, ask(), at=at)
        assert (status, kind) == (403, "InvalidSignatureException")
        assert message.startswith(text)
        fake.clock_offset = timedelta(minutes=minutes)
        assert post(fake, ask(), at=at)[0].status == 200

    def test_keys_end(self, fake: FakeBedrock) -> None:
        fake.expire_key()
        expired = "The security token included in the request is expired"
        assert refusal(fake, ask()) == (403, "ExpiredTokenException", expired)
        fake.revoke_key()
        assert refusal(fake, ask())[1] == "UnrecognizedClientException"
        fake.deny_key()
        answer, data = post(fake, ask())
        assert answer.status == 403
        assert answer.getheader("x-amzn-errortype") == "AccessDeniedException"
        assert ACCOUNT in json.loads(data)["Message"]
        fake.revive_key()
        assert post(fake, ask())[0].status == 200

    def test_takes_bearer_keys(self, fake: FakeBedrock) -> None:
        def bearer(token: str) -> dict[str, str]:
            return {"content-type": "application/json", "authorization": f"Bearer {token}"}

        assert post(fake, ask(), headers=bearer(BEARER_KEY))[0].status == 200
        assert "make sure your API Key is valid" in refusal(fake, ask(), headers=bearer("other"))[2]
        fake.bearers[BEARER_KEY] = "expired"
        assert refusal(fake, ask(), headers=bearer(BEARER_KEY)) == (
            403,
            "AccessDeniedException",
            "Bearer Token has expired",
        )
        fake.bearers[BEARER_KEY] = "denied"
        assert "is not authorized to perform" in refusal(fake, ask(), headers=bearer(BEARER_KEY))[2]

    def test_asks_for_credentials(self, fake: FakeBedrock) -> None:
        headers = {"content-type": "application/json"}
        assert refusal(fake, ask(), headers=headers)[1] == "MissingAuthenticationTokenException"
        assert refusal(fake, ask(), headers=headers | {"authorization": "Basic x"})[1] == "IncompleteSignatureException"

    @pytest.mark.parametrize(
        "header", [("authorization", "Bearer sk-ant-oat01-invented"), ("x-api-key", "k"), ("x-litellm-api-key", "k")]
    )
    def test_notes_what_is_not_for_aws(self, fake: FakeBedrock, header: tuple[str, str]) -> None:
        answer, _ = post(fake, ask(), headers=dict([header]))
        assert answer.status == 400
        assert len(fake.violations) == 1

    def test_notes_canaries(self) -> None:
        with FakeBedrock(canaries=[b"canary-1", b"canary-2"]) as fake:
            post(fake, ask("sing, canary-2"))
            assert fake.violations == [f"connection 1: POST {target_of(OPUS)} holds b'canary-2'"]


class TestModels:
    @pytest.mark.parametrize(
        ("model", "kind", "text"),
        [
            ("us.anthropic.claude-opus-9", "ValidationException", "The provided model identifier is invalid."),
            ("eu.anthropic.claude-opus-5-5", "ValidationException", "The provided model identifier is invalid."),
            (
                "anthropic.claude-opus-5-5",
                "ValidationException",
                "Invocation of model ID anthropic.claude-opus-5-5 with on-demand throughput isn\u2019t supported. "
                "Retry your request with the ID or ARN of an inference profile that contains this model.",
            ),
            (
                "us.anthropic.claude-3-7-sonnet-20250219-v1:0",
                "ResourceNotFoundException",
                "This model version has reached the end of its life. "
                "Please refer to the AWS documentation for more details.",
            ),
        ],
    )
    def test_refuses(self, fake: FakeBedrock, model: str, kind: str, text: str) -> None:
        assert refusal(fake, ask(), model=model) == (ERRORS[kind].status, kind, text)

    @pytest.mark.parametrize(
        ("state", "status", "kind", "text"),
        [
            ("no-access", 403, "AccessDeniedException", "You don't have access to the model"),
            ("legacy", 404, "ResourceNotFoundException", "is marked by provider as Legacy"),
            ("not-ready", 429, "ModelNotReadyException", "not ready"),
        ],
    )
    def test_states(self, fake: FakeBedrock, state: ModelState, status: int, kind: str, text: str) -> None:
        fake.set_model(OPUS, state)
        found = refusal(fake, ask(), model=OPUS)
        assert found[:2] == (status, kind)
        assert text in found[2]
        fake.forget_model(OPUS)
        assert refusal(fake, ask(), model=OPUS)[2] == "The provided model identifier is invalid."

    def test_knows_application_inference_profiles(self, fake: FakeBedrock) -> None:
        arn = f"arn:aws:bedrock:us-west-2:{ACCOUNT}:application-inference-profile/abc"
        fake.add_profile(arn, "anthropic.claude-haiku-4-5-20251001-v1:0")
        message = json.loads(post(fake, ask(), model=arn)[1])
        assert message["model"] == "claude-haiku-4-5-20251001"
        assert model_of(fake.requests[0]) == arn

    @pytest.mark.parametrize(
        ("region", "there", "not_there"),
        [
            ("us-west-2", "us global", "eu apac jp au us-gov"),
            ("eu-central-1", "eu global", "us apac"),
            ("ap-northeast-1", "jp apac global", "au us"),
            ("ap-southeast-2", "au apac global", "jp us"),
            ("us-gov-west-1", "us-gov", "us global"),
        ],
    )
    def test_prefixes_belong_to_regions(self, region: str, there: str, not_there: str) -> None:
        ids = models_of(region)
        assert all(f"{prefix}.anthropic.claude-opus-5-5" in ids for prefix in there.split())
        assert not any(f"{prefix}.anthropic.claude-opus-5-5" in ids for prefix in not_there.split())

    def test_every_model_has_a_family(self) -> None:
        families = {model.family for region in ("us-west-2", "ap-southeast-2") for model in models_of(region).values()}
        assert families <= set(FAMILIES)
        assert Model("anthropic.claude-opus-4-6-v1").name == "claude-opus-4-6"
        assert Model("anthropic.claude-sonnet-4-5-20250929-v1:0").name == "claude-sonnet-4-5-20250929"

    def test_routes(self, fake: FakeBedrock) -> None:
        for operation in ("converse", "converse-stream", "invoke-with-bidirectional-stream"):
            answer, data = post(fake, ask(), operation=operation)
            assert answer.status == 404
            assert "UnknownOperationException" in json.loads(data)["Output"]["__type"]
        assert len(fake.violations) == 3

    def test_takes_json_alone(self, fake: FakeBedrock) -> None:
        names = ("host", "x-amz-date", "x-amz-security-token")
        headers = signed_headers(fake, target_of(OPUS), b"{}", names=names) | {"content-type": "text/plain"}
        text = "The provided Content Type is invalid or not supported for this model"
        assert refusal(fake, b"{}", headers=headers) == (400, "ValidationException", text)


def turn(**fields: Any) -> dict[str, Any]:
    """What Claude Code sends in Bedrock mode, in short."""
    tool = {"name": "Bash", "description": "Run.", "input_schema": {"type": "object", "properties": {}}}
    late = {**tool, "name": "DeferredToolPlaceholder", "defer_loading": True}
    body = ask(
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "say hello"}]},
            {
                "role": "system",
                "content": [{"type": "text", "text": "the lake", "cache_control": {"type": "ephemeral"}}],
            },
        ],
        system=[
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.330.572; cc_entrypoint=sdk-cli;"},
            {"type": "text", "text": "You are a heron.", "cache_control": {"type": "ephemeral"}},
        ],
        metadata={"user_id": "{}"},
        max_tokens=128000,
        thinking={"type": "adaptive", "display": "omitted"},
        anthropic_beta=BETAS,
        output_config={"effort": "medium"},
        tools=[tool, late],
    )
    return body | fields


def older_turn(**fields: Any) -> dict[str, Any]:
    body = turn(
        messages=[{"role": "user", "content": [{"type": "text", "text": "say hello"}]}],
        max_tokens=32000,
        thinking={"type": "enabled", "budget_tokens": 31999},
        anthropic_beta=["tool-search-tool-2025-10-19"],
    )
    del body["output_config"]
    return body | fields


def tool_turn(*blocks: dict[str, Any], calls: int = 1, **fields: Any) -> dict[str, Any]:
    uses = [{"type": "tool_use", "id": f"toolu_{n}", "name": "Bash", "input": {}} for n in range(calls)]
    return turn(
        messages=[
            {"role": "user", "content": "look"},
            {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "…", "signature": "c2lnbmVk"}, *uses],
            },
            {"role": "user", "content": list(blocks)},
        ],
        **fields,
    )


def result(content: object = "done", call: int = 0, **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": f"toolu_{call}", "content": content, **fields}


def without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


def cached(**control: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", **control}}]


REFERENCE = [{"type": "tool_reference", "tool_name": "WebFetch"}]
WEB_SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}


class TestBodies:
    @pytest.mark.parametrize("operation", [INVOKE, STREAM])
    @pytest.mark.parametrize(
        ("model", "body"),
        [
            (OPUS, turn()),
            (OPUS, tool_turn(result(), {"type": "text", "text": "a reminder"})),
            (OPUS, tool_turn(result(REFERENCE))),
            (OPUS, tool_turn(result(call=1), result(), calls=2)),
            ("us.anthropic.claude-opus-4-8", turn(thinking={"type": "adaptive"})),
            (SONNET_45, older_turn(anthropic_beta=BETAS[:2])),
            (HAIKU_45, older_turn()),
            (HAIKU_45, ask()),
        ],
    )
    def test_takes_what_claude_code_sends(
        self, fake: FakeBedrock, model: str, body: dict[str, Any], operation: str
    ) -> None:
        answer, data = post(fake, body, model=model, operation=operation)
        assert answer.status == 200, data
        assert (fake.violations, fake.refusals) == ([], [])

    @pytest.mark.parametrize(
        ("family", "body", "text"),
        [
            ("opus-5-5", without(turn(), "anthropic_version"), "anthropic_version: Field required"),
            ("opus-5-5", turn(anthropic_version="2023-06-01"), "Invalid API version: 2023-06-01"),
            ("opus-5-5", without(turn(), "max_tokens"), "max_tokens: Field required"),
            (
                "3-5-haiku",
                without(ask(), "max_tokens"),
                "Malformed input request: #: required key [max_tokens] not found, "
                "please reformat your input and try again.",
            ),
            ("opus-5-5", turn(model="claude-opus-5-5"), f"model: {EXTRA}"),
            ("opus-5-5", turn(stream=True), f"stream: {EXTRA}"),
            ("opus-5-5", turn(context_management={"edits": []}), f"context_management: {EXTRA}"),
            ("opus-5-5", turn(diagnostics={}), f"diagnostics: {EXTRA}"),
            ("opus-5-5", turn(mcp_servers=[]), f"mcp_servers: {EXTRA}"),
            (
                "3-5-haiku",
                ask(stream=True),
                "Malformed input request: #: extraneous key [stream] is not permitted, "
                "please reformat your input and try again.",
            ),
            (
                "opus-5-5",
                turn(messages=[{"role": "user", "content": "x", "output_config": {"effort": "low"}}]),
                f"messages.0.output_config: {EXTRA}",
            ),
            ("opus-5-5", turn(system=cached(ttl="1h")), f"system.0.cache_control.ephemeral.ttl: {EXTRA}"),
            ("opus-5-5", turn(system=cached(scope="global")), f"system.0.cache_control.ephemeral.scope: {EXTRA}"),
            (
                "opus-5-5",
                turn(messages=[{"role": "user", "content": cached(ttl="1h")}]),
                f"messages.0.content.0.text.cache_control.ephemeral.ttl: {EXTRA}",
            ),
            (
                "opus-5-5",
                turn(system=cached() * 4),
                "A maximum of 4 blocks with cache_control may be provided. Found 5.",
            ),
            ("opus-5-5", turn(anthropic_beta=[*BETAS, "oauth-2025-04-20"]), "invalid beta flag"),
            ("opus-5-5", turn(anthropic_beta=["claude-code-20250219"]), "invalid beta flag"),
            ("haiku-4-5", older_turn(anthropic_beta=BETAS[:1]), "invalid beta flag"),
            (
                "sonnet-4-5",
                older_turn(messages=turn()["messages"]),
                "messages.1.role: Input should be 'user' or 'assistant'",
            ),
            (
                "sonnet-4-5",
                older_turn(thinking={"type": "adaptive"}),
                "adaptive thinking is not supported on this model",
            ),
            (
                "sonnet-4-5",
                older_turn(thinking={"type": "enabled", "budget_tokens": 2000, "display": "omitted"}),
                f"thinking.enabled.display: {EXTRA}",
            ),
            (
                "opus-5-5",
                turn(thinking={"type": "enabled", "budget_tokens": 2000}),
                '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
                '"output_config.effort" to control thinking behavior.',
            ),
            (
                "sonnet-4-5",
                older_turn(thinking={"type": "enabled", "budget_tokens": 100}),
                "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
            ),
            (
                "sonnet-4-5",
                older_turn(max_tokens=31999),
                "`max_tokens` must be greater than `thinking.budget_tokens`.",
            ),
            (
                "sonnet-4-5",
                older_turn(output_config={"effort": "low"}),
                "This model does not support the effort parameter.",
            ),
            ("sonnet-4", ask(output_config={"effort": "low"}), f"output_config: {EXTRA}"),
            (
                "opus-4-6",
                ask(output_config={"effort": "xhigh"}),
                "output_config.effort: Input should be 'low', 'medium', 'high' or 'max'",
            ),
            ("opus-5-5", turn(temperature=0.5), "`temperature` is deprecated for this model."),
            ("opus-5-5", turn(output_config={"efforts": 1}), f"output_config.efforts: {EXTRA}"),
            (
                "sonnet-4-5",
                older_turn(max_tokens=128000),
                "The maximum tokens you requested exceeds the model limit of 64000. "
                "Try again with a maximum tokens value that is lower than 64000.",
            ),
            ("opus-5-5", turn(anthropic_beta=[]), f"tools.1.custom.defer_loading: {EXTRA}"),
            (
                "opus-5-5",
                turn(tools=[{**turn()["tools"][0], "eager_input_streaming": True}]),
                f"tools.0.custom.eager_input_streaming: {EXTRA}",
            ),
            ("opus-5-5", turn(tools=[WEB_SEARCH]), "tools.0: Input tag 'web_search_20250305' found using 'type'"),
            ("opus-5-5", turn(tools=turn()["tools"] * 2), "tools: Tool names must be unique."),
            (
                "opus-5-5",
                turn(tool_choice={"type": "tool", "name": "Bash"}),
                "Thinking may not be enabled when tool_choice forces tool use.",
            ),
            (
                "opus-5-5",
                tool_turn(result(REFERENCE), tools=turn()["tools"][:1], anthropic_beta=[]),
                "messages.2.content.0.tool_result.content.0: Input tag 'tool_reference' found using 'type'",
            ),
            (
                "opus-5-5",
                tool_turn({"type": "server_tool_use", "id": "x", "name": "web_search", "input": {}}),
                "messages.2.content.0: Input tag 'server_tool_use' found",
            ),
            (
                "opus-5-5",
                ask(messages=[{"role": "user", "content": [{"type": "image", "source": {"type": "file"}}]}]),
                "messages.0.content.0.image.source: Input tag 'file' found",
            ),
            (
                "opus-5-5",
                tool_turn({"type": "text", "text": "a reminder"}, result()),
                "messages.2: Did not find 1 `tool_result` block(s) at the beginning of this message.",
            ),
            ("opus-5-5", tool_turn(result(), calls=2), "messages.1: `tool_use` ids were found without `tool_result`"),
            ("opus-5-5", tool_turn(result(call=7), result()), "messages.2: unexpected `tool_use_id` found"),
            ("opus-5-5", ask(""), "messages.0: all messages must have non-empty content"),
            ("opus-5-5", ask(messages=[{"role": "user", "content": [{"type": "text"}]}]), "messages: text content"),
            ("opus-5-5", ask(messages=[]), "messages: at least one message is required"),
            ("opus-5-5", ask("x" * 900_000), "Input is too long for requested model."),
            ("opus-5-5", b"{", "Malformed input request, please reformat"),
            ("opus-5-5", [], "Malformed input request: #: expected type: JSONObject, found: JSONArray"),
            ("opus-5-5", turn(messages=["x"]), "Malformed input request: #: "),
        ],
    )
    def test_refuses(self, family: str, body: Any, text: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        with pytest.raises(BodyRefusedError) as refused:
            check_body(data, FAMILIES[family], "invoke")
        assert str(refused.value).startswith(text)

    def test_answers_a_refusal(self, fake: FakeBedrock) -> None:
        answer, data = post(fake, turn(stream=True), operation=STREAM)
        assert (answer.status, json.loads(data)) == (400, {"message": f"stream: {EXTRA}"})
        assert answer.getheader("x-amzn-errortype") == (
            "ValidationException:http://internal.amazon.com/coral/com.amazon.bedrock/"
        )
        assert answer.getheader("x-amzn-requestid") == "00000000-0000-4000-8000-000000000001"
        assert fake.refusals == [f"POST {target_of(OPUS, STREAM)}: ValidationException: stream: {EXTRA}"]
        assert fake.violations == []

    def test_every_rule_is_a_knob(self, fake: FakeBedrock) -> None:
        family = fake.families["opus-5-5"]
        fake.families["opus-5-5"] = replace(family, cache_ttl=True, context_management=True, server_tools=True)
        body = turn(system=cached(ttl="1h"), context_management={"edits": []}, tools=[WEB_SEARCH])
        assert post(fake, body)[0].status == 200

    def test_takes_betas_of_claude_code_where_tokens_are_counted(self) -> None:
        body = json.dumps(ask(max_tokens=1, anthropic_beta=["claude-code-20250219"])).encode()
        check_body(body, FAMILIES["opus-5-5"], "invoke")
        check_body(body, FAMILIES["opus-5-5"], "count-tokens")
        with pytest.raises(BodyRefusedError):
            check_body(body, FAMILIES["opus-5-5"], "invoke-with-response-stream")

    def test_long_context_is_a_beta(self) -> None:
        body = ask("x" * 900_000, anthropic_beta=["context-1m-2025-08-07"])
        check_body(json.dumps(body).encode(), FAMILIES["opus-5-5"], "invoke")
        image = {"type": "base64", "media_type": "image/png", "data": "A" * 3_000_000}
        pictured = ask(messages=[{"role": "user", "content": [{"type": "image", "source": image}]}])
        check_body(json.dumps(pictured).encode(), FAMILIES["opus-5-5"], "invoke")

    @pytest.mark.parametrize("mode", ["ignored", "checked"])
    def test_betas_in_the_header(self, mode: Any) -> None:
        with FakeBedrock(header_betas=mode) as fake:
            data = json.dumps(ask()).encode()
            headers = signed_headers(fake, target_of(OPUS), data) | {"anthropic-beta": "a-2025-01-01, b"}
            assert post(fake, data, headers=headers)[0].status == (200 if mode == "ignored" else 400)

    def test_foreign_signatures(self, fake: FakeBedrock) -> None:
        assert post(fake, tool_turn(result()))[0].status == 200
        fake.foreign_signatures_refused = True
        text = "messages.1.content.0: Invalid `signature` in `thinking` block"
        assert refusal(fake, tool_turn(result())) == (400, "ValidationException", text)
        body = tool_turn(result())
        body["messages"][1]["content"][0]["signature"] = SIGNATURE
        assert post(fake, body)[0].status == 200


class TestAnswers:
    def test_streams_anthropics_events_in_order(self, fake: FakeBedrock) -> None:
        events = stream(fake, ask("good morning"))
        assert [event["type"] for event in events] == [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
        assert events[0]["message"]["model"] == "claude-opus-5-5"
        assert events[0]["message"]["id"].startswith("msg_bdrk_")
        text = "".join(event["delta"]["text"] for event in events if event["type"] == "content_block_delta")
        assert text == "Hello from the fake. You said: good morning"
        assert "amazon-bedrock-invocationMetrics" in events[-1]
        assert (model_of(fake.requests[0]), operation_of(fake.requests[0])) == (OPUS, STREAM)

    def test_answers_whole(self, fake: FakeBedrock) -> None:
        answer, data = post(fake, ask("[[say it]]"))
        message = json.loads(data)
        assert message["content"] == [{"type": "text", "text": "it"}]
        assert answer.getheader("content-type") == "application/json"
        assert answer.getheader("x-amzn-bedrock-output-token-count") == str(message["usage"]["output_tokens"])

    def test_thinks_and_calls_tools(self, fake: FakeBedrock) -> None:
        body = turn(messages=[{"role": "user", "content": '[[think]] [[tool Bash {"command":"ls"}]]'}])
        events = stream(fake, body)
        started = [event["content_block"]["type"] for event in events if event["type"] == "content_block_start"]
        assert started == ["thinking", "text", "tool_use"]
        deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
        assert {"type": "signature_delta", "signature": SIGNATURE} in deltas
        assert json.loads("".join(delta.get("partial_json", "") for delta in deltas)) == {"command": "ls"}
        message = json.loads(post(fake, body)[1])
        assert message["content"][0]["signature"] == SIGNATURE
        assert message["content"][-1]["id"].startswith("toolu_bdrk_")
        assert message["stop_reason"] == "tool_use"

    def test_is_slow_when_asked(self, fake: FakeBedrock) -> None:
        start = time.monotonic()
        events = stream(fake, ask("[[slow 5 0.05]]"))
        assert sum(event["type"] == "content_block_delta" for event in events) == 5
        assert time.monotonic() - start > 0.19

    def test_counts_tokens(self, fake: FakeBedrock) -> None:
        def count(body: object, model: str) -> tuple[http.client.HTTPResponse, bytes]:
            inner = base64.b64encode(json.dumps(body).encode()).decode()
            return post(fake, {"input": {"invokeModel": {"body": inner}}}, model=model, operation=COUNT)

        base = "anthropic.claude-opus-5-5"
        answer, data = count(ask("x" * 400), base)
        assert answer.status == 200
        assert 100 < json.loads(data)["inputTokens"] < 150
        assert b"doesn't support counting tokens" in count(ask(), OPUS)[1]
        assert b"tools: List should have at least 1 item" in count(ask(tools=[]), base)[1]
        assert b"model: Extra" in count(ask(model=base), base)[1]
        assert post(fake, {"input": {}}, model=base, operation=COUNT)[0].status == 400

    def test_converses_if_it_may(self) -> None:
        with FakeBedrock(converse=True) as fake:
            request = {
                "messages": [{"role": "user", "content": [{"text": '[[think]] [[tool Bash {"a":1}]]'}]}],
                "toolConfig": {"tools": [{"toolSpec": {"name": "Bash", "inputSchema": {"json": {}}}}]},
            }
            answer = json.loads(post(fake, request, operation="converse")[1])
            assert answer["stopReason"] == "tool_use"
            assert answer["output"]["message"]["content"][-1]["toolUse"]["input"] == {"a": 1}
            data = post(fake, request, operation="converse-stream")[1]
            names = [headers[":event-type"] for headers, _ in messages_in(data)]
            assert (names[0], names[-2:]) == ("messageStart", ["messageStop", "metadata"])
            assert fake.violations == []

    @given(st.lists(st.tuples(st.text(min_size=1, max_size=20), st.text(max_size=50))), st.binary(max_size=200))
    def test_frames(self, headers: list[tuple[str, str]], payload: bytes) -> None:
        headers = list(dict(headers).items())
        assert list(messages_in(frame(headers, payload) * 2)) == [(dict(headers), payload)] * 2


class TestFaults:
    @pytest.mark.parametrize("kind", sorted(ERRORS))
    @pytest.mark.parametrize("private", [False, True])
    def test_every_error(self, fake: FakeBedrock, kind: str, *, private: bool) -> None:
        fake.fail_next(kind=kind, private=private, headers={"retry-after": "3"})
        answer, data = post(fake, ask(), operation=STREAM)
        assert answer.status == ERRORS[kind].status
        assert (answer.getheader("x-amzn-errortype") or "").partition(":")[0] == kind
        assert answer.getheader("retry-after") == "3"
        assert answer.getheader("x-amzn-requestid")
        assert not private or all(word.encode() in data for word in PRIVATE)
        assert post(fake, ask(), operation=STREAM)[0].status == 200
        assert fake.refusals == []

    @pytest.mark.parametrize(
        ("status", "kind"), [(None, "ThrottlingException"), (408, "ModelTimeoutException"), (503, "ServiceUnav")]
    )
    def test_errors_by_status(self, fake: FakeBedrock, status: int | None, kind: str) -> None:
        fake.fail_next(status, message="Own words.")
        found = refusal(fake, ask())
        assert found[0] == (status or 429)
        assert found[1].startswith(kind)
        assert found[2] == "Own words."

    def test_errors_that_aws_does_not_name(self, fake: FakeBedrock) -> None:
        fake.fail_next(502, body=b"<html>", headers={"Content-Type": "text/html"})
        answer, data = post(fake, ask())
        assert (answer.status, data) == (502, b"<html>")
        fake.fail_next(413, before_body=True)
        assert post(fake, ask())[0].status == 413

    def test_faults_wait_for_their_operation(self, fake: FakeBedrock) -> None:
        fake.fail_next(500, path=STREAM)
        fake.fail_next(503, path=target_of(HAIKU_45))
        fake.fail_next(424)
        assert post(fake, ask(), model=HAIKU_45)[0].status == 503
        assert post(fake, ask())[0].status == 424
        assert post(fake, ask())[0].status == 200
        assert post(fake, ask(), operation=STREAM)[0].status == 500

    @pytest.mark.parametrize("kind", sorted(EXCEPTIONS))
    @pytest.mark.parametrize(("after", "before"), [("head", 0), ("message_start", 1), ("content_block_delta", 3)])
    def test_exceptions_in_a_stream(self, fake: FakeBedrock, kind: str, after: str, before: int) -> None:
        fake.exception_next(kind, after=after, private=True, original_status=529)
        answer, data = post(fake, ask(), operation=STREAM)
        assert answer.status == 200
        *chunks, (headers, payload) = messages_in(data)
        assert len(chunks) == before
        assert headers == {
            ":exception-type": kind,
            ":content-type": "application/json",
            ":message-type": "exception",
        }
        assert json.loads(payload)["originalStatusCode"] == 529
        assert all(word in json.loads(payload)["message"] for word in PRIVATE)

    def test_other_errors_in_a_stream(self, fake: FakeBedrock) -> None:
        fake.unmodeled_error_next("internalFailure", message="no")
        *_, (headers, payload) = messages_in(post(fake, ask(), operation=STREAM)[1])
        assert headers == {":error-code": "internalFailure", ":error-message": "no", ":message-type": "error"}
        assert payload == b""
        fake.first_event_error_next()
        assert [event["type"] for event in stream(fake, ask())] == ["error"]
        with pytest.raises(NotImplementedError):
            fake.limit_next()

    @pytest.mark.parametrize("part", ["prelude", "length", "payload", "message"])
    def test_corrupts_one_message(self, fake: FakeBedrock, part: Part) -> None:
        fake.corrupt_next(part, after="content_block_start")
        read = messages_in(post(fake, ask(), operation=STREAM)[1])
        assert len([next(read) for _ in range(2)]) == 2
        with pytest.raises((AssertionError, struct.error)):
            next(read)

    def test_truncates(self, fake: FakeBedrock) -> None:
        fake.truncate_next()
        read = messages_in(post(fake, ask(), operation=STREAM)[1])
        assert len([next(read) for _ in range(3)]) == 3
        with pytest.raises(struct.error):
            next(read)

    @pytest.mark.parametrize("how", ["close", "reset"])
    def test_cuts(self, fake: FakeBedrock, how: Any) -> None:
        fake.cut_next("mid-event", how)
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            post(fake, ask(), operation=STREAM)
        fake.cut_next("before-head", how)
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            post(fake, ask(), operation=STREAM)

    def test_refuses_connections(self, fake: FakeBedrock) -> None:
        fake.refuse_connections()
        with pytest.raises(ConnectionRefusedError):
            post(fake, ask())
        fake.accept_connections()
        assert post(fake, ask())[0].status == 200

    def test_holds_and_delays(self, fake: FakeBedrock) -> None:
        hold = fake.hold_next("content_block_delta")
        fake.delay_next(0.2, "message_stop")
        with calling(fake) as connection:
            data = json.dumps(ask()).encode()
            target = target_of(OPUS, STREAM)
            connection.request("POST", target, data, signed_headers(fake, target, data))
            answer = connection.getresponse()
            hold.wait_reached()
            first = answer.read1(100000)
            hold.release()
            rest = answer.read()
        assert len(events_in(first + rest)) == 7
        start = time.monotonic()
        stream(fake, ask())
        assert time.monotonic() - start > 0.19

    def test_stalls_till_the_client_leaves(self, fake: FakeBedrock) -> None:
        fake.stall_next("content_block_delta")
        with calling(fake) as connection:
            data = json.dumps(ask()).encode()
            target = target_of(OPUS, STREAM)
            connection.request("POST", target, data, signed_headers(fake, target, data))
            answer = connection.getresponse()
            assert len(list(messages_in(answer.read1(100000)))) >= 1
            answer.close()
        assert fake.wait_for_aborts(1)[0].status == 200

    def test_a_refusal_takes_the_place_of_a_fault_in_mid_stream(self, fake: FakeBedrock) -> None:
        for verb in (fake.exception_next, fake.corrupt_next, fake.truncate_next):
            verb()
            assert refusal(fake, ask(stream=True), operation=STREAM)[0] == 400
        assert fake.violations == []

    def test_ends_everything(self) -> None:
        before = threading.active_count()
        with FakeBedrock() as fake:
            fake.stall_next("message_start")
            sock = socket.create_connection(("127.0.0.1", fake.port))
            target, data = target_of(OPUS, STREAM), json.dumps(ask()).encode()
            head = "".join(f"{name}: {value}\r\n" for name, value in signed_headers(fake, target, data).items())
            sock.sendall(f"POST {target} HTTP/1.1\r\n{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
            assert sock.recv(20).startswith(b"HTTP/1.1 200 OK")
            assert any(thread.name == "fake-bedrock" for thread in threading.enumerate())
        with sock:
            sock.settimeout(5)
            try:
                while sock.recv(65536):
                    pass
            except ConnectionResetError:
                pass
        assert threading.active_count() == before
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", fake.port))


needs_boto3 = pytest.mark.skipif(
    importlib.util.find_spec("boto3") is None, reason="boto3 is not installed: the fake is not held against the SDK"
)


@needs_boto3
class TestWithTheRealSdk:
    @pytest.fixture(autouse=True)
    def _no_configuration_of_the_persons_own(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for name in ("AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK", "AWS_REGION", "AWS_DEFAULT_REGION", "HTTP_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))

    @contextmanager
    def client(self, fake: FakeBedrock, *, key: Key | None = None, read_timeout: float = 10) -> Iterator[Any]:
        boto3, config = importlib.import_module("boto3"), importlib.import_module("botocore.config")
        key = key or fake.key
        client = boto3.Session().client(
            "bedrock-runtime",
            region_name=fake.region,
            endpoint_url=fake.url,
            aws_access_key_id=key.access_key,
            aws_secret_access_key=key.secret,
            aws_session_token=key.token,
            config=config.Config(retries={"total_max_attempts": 1}, read_timeout=read_timeout),
        )
        try:
            yield client
        finally:
            client.close()

    @staticmethod
    def stream(client: Any, body: object, model: str = OPUS) -> Iterator[dict[str, Any]]:
        answer = client.invoke_model_with_response_stream(
            modelId=model, body=json.dumps(body), contentType="application/json"
        )
        assert answer["contentType"] == "application/json"
        try:
            for event in answer["body"]:
                yield json.loads(event["chunk"]["bytes"])
        finally:
            answer["body"].close()

    @pytest.mark.parametrize("model", [OPUS, SONNET_45])
    def test_invokes(self, fake: FakeBedrock, model: str) -> None:
        with self.client(fake) as client:
            answer = client.invoke_model(modelId=model, body=json.dumps(ask()), contentType="application/json")
            assert json.loads(answer["body"].read())["content"]
            events = list(self.stream(client, ask("x" * 50_000 + "[[big 100000]]"), model))
        assert events[-1]["type"] == "message_stop"
        assert sum(len(e["delta"]["text"]) for e in events if e["type"] == "content_block_delta") == 100_000
        assert (fake.violations, fake.refusals) == ([], [])
        assert signer_of(fake.requests[0]) == fake.key.access_key

    def test_invokes_by_arn_and_counts(self, fake: FakeBedrock) -> None:
        arn = f"arn:aws:bedrock:us-west-2:{ACCOUNT}:application-inference-profile/abc"
        fake.add_profile(arn, "anthropic.claude-opus-5-5")
        with self.client(fake) as client:
            assert client.invoke_model(modelId=arn, body=json.dumps(ask()), contentType="application/json")["body"]
            given = {"invokeModel": {"body": json.dumps(ask()).encode()}}
            assert client.count_tokens(modelId="anthropic.claude-opus-5-5", input=given)["inputTokens"] > 0
        assert (fake.violations, fake.refusals) == ([], [])

    @pytest.mark.parametrize("kind", sorted(set(ERRORS) - {"RequestEntityTooLargeException"}))
    def test_names_every_error(self, fake: FakeBedrock, kind: str) -> None:
        client_error = importlib.import_module("botocore.exceptions").ClientError
        fake.fail_next(kind=kind, message="Own words.")
        with self.client(fake) as client, pytest.raises(client_error) as caught:
            list(self.stream(client, ask()))
        assert caught.value.response["Error"]["Code"] == kind
        assert caught.value.response["Error"]["Message"] == "Own words."
        assert caught.value.response["ResponseMetadata"]["RequestId"].startswith("0000")

    def test_is_refused(self, fake: FakeBedrock) -> None:
        client_error = importlib.import_module("botocore.exceptions").ClientError
        for spoil, code in (
            (fake.expire_key, "ExpiredTokenException"),
            (fake.revoke_key, "UnrecognizedClientException"),
            (fake.deny_key, "AccessDeniedException"),
        ):
            spoil()
            with self.client(fake) as client, pytest.raises(client_error) as caught:
                list(self.stream(client, ask()))
            assert caught.value.response["Error"]["Code"] == code
        fake.revive_key()
        with (
            self.client(fake, key=replace(fake.key, secret="wrong")) as client,
            pytest.raises(client_error, match="does not match"),
        ):
            list(self.stream(client, ask()))

    def test_uses_a_bearer_key(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", BEARER_KEY)
        authority, server = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(server)
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        with FakeBedrock(tls=server) as fake:  # the SDK sends bearer keys over TLS alone
            boto3 = importlib.import_module("boto3")
            client = boto3.Session().client("bedrock-runtime", region_name=fake.region, endpoint_url=fake.url)
            assert len(list(self.stream(client, ask()))) == 7
            client.close()
            assert fake.requests[0].header("authorization") == f"Bearer {BEARER_KEY}"

    @pytest.mark.parametrize("kind", sorted(EXCEPTIONS))
    def test_gets_exceptions_in_a_stream(self, fake: FakeBedrock, kind: str) -> None:
        error = importlib.import_module("botocore.exceptions").EventStreamError
        fake.exception_next(kind)
        events: list[dict[str, Any]] = []
        with self.client(fake) as client, pytest.raises(error) as caught:
            events.extend(self.stream(client, ask()))
        assert caught.value.response["Error"]["Code"] == kind

    @pytest.mark.parametrize(
        ("spoil", "error"),
        [
            (lambda fake: fake.unmodeled_error_next(), "EventStreamError"),
            (lambda fake: fake.corrupt_next("prelude"), "ChecksumMismatch"),
            (lambda fake: fake.corrupt_next("payload"), "ChecksumMismatch"),
            (lambda fake: fake.corrupt_next("message"), "ChecksumMismatch"),
            (lambda fake: fake.corrupt_next("length"), "InvalidPayloadLength"),
            (lambda fake: fake.cut_next("mid-event"), "ProtocolError"),
            (lambda fake: fake.cut_next("mid-event", "reset"), "ProtocolError"),
            (lambda fake: fake.stall_next(), "ReadTimeoutError"),
        ],
    )
    def test_sees_faults(self, fake: FakeBedrock, spoil: Callable[[FakeBedrock], None], error: str) -> None:
        spoil(fake)
        events: list[dict[str, Any]] = []
        with self.client(fake, read_timeout=0.5) as client, pytest.raises(Exception) as caught:  # noqa: PT011
            events.extend(self.stream(client, ask()))
        assert type(caught.value).__name__ == error

    def test_converses(self) -> None:
        with FakeBedrock(converse=True) as fake, self.client(fake) as client:
            said = [{"role": "user", "content": [{"text": "[[say hello]]"}]}]
            answer = client.converse(modelId=OPUS, messages=said)
            assert answer["output"]["message"]["content"] == [{"text": "hello"}]
            events = list(client.converse_stream(modelId=OPUS, messages=said)["stream"])
            parts = [e["contentBlockDelta"]["delta"]["text"] for e in events if "contentBlockDelta" in e]
            assert "".join(parts) == "hello"
            assert (fake.violations, fake.refusals) == ([], [])
