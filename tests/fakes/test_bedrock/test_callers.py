"""The fake Bedrock knows who may call."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from tests.fakes.anthropic_http import Head
from tests.fakes.bedrock import BEARER_KEY, FakeBedrock, signer_of
from tests.fakes.bedrock_model import ACCOUNT
from tests.fakes.bedrock_sigv4 import Key, canonical_request, check_signature, sign
from tests.fakes.test_bedrock.calls import OPUS, SONNET_45, ask, post, refusal, signed_headers, target_of


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
