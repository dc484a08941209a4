"""The real SDK reads the streams and the faults of the fake Bedrock."""

import importlib.util
import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.fakes.bedrock import BEARER_KEY, FakeBedrock, signer_of
from tests.fakes.bedrock_model import ACCOUNT, ERRORS, EXCEPTIONS
from tests.fakes.bedrock_sigv4 import Key
from tests.fakes.test_bedrock.calls import OPUS, SONNET_45, ask

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
