"""What a failure at Bedrock means for the client."""

import json

import pytest

from claude_gatewayd.anthropic.errors import type_of
from claude_gatewayd.bedrock import errors
from claude_gatewayd.bedrock.errors import BedrockFailure
from tests.support.effort import effort

ARN = "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Admin_0123/heron@example.com"


@pytest.mark.parametrize(
    ("failure", "status", "kind"),
    [
        (BedrockFailure("ThrottlingException", 429, "Too many tokens"), 429, "rate_limit_error"),
        (BedrockFailure("throttlingException", 429, "Too many tokens"), 429, "rate_limit_error"),
        (BedrockFailure("ModelNotReadyException", 429, "x"), 429, "rate_limit_error"),
        (BedrockFailure("ServiceQuotaExceededException", 400, "x"), 429, "rate_limit_error"),
        (BedrockFailure("ModelTimeoutException", 408, "x"), 504, "timeout_error"),
        (BedrockFailure("ModelErrorException", 424, "x"), 502, "api_error"),
        (BedrockFailure("modelStreamErrorException", 424, "x"), 502, "api_error"),
        (BedrockFailure("InternalServerException", 500, "x"), 500, "api_error"),
        (BedrockFailure("ServiceUnavailableException", 503, "x"), 529, "overloaded_error"),
        (BedrockFailure("ValidationException", 400, "odd"), 400, "invalid_request_error"),
        (
            BedrockFailure("ValidationException", 400, "The provided model identifier is invalid."),
            404,
            "not_found_error",
        ),
        (BedrockFailure("ResourceNotFoundException", 404, "x"), 404, "not_found_error"),
        (BedrockFailure("AccessDeniedException", 403, ARN), 403, "permission_error"),
        (BedrockFailure("ValidationException", 400, "Operation not allowed"), 403, "permission_error"),
        (BedrockFailure("ExpiredTokenException", 403, "x"), 403, "permission_error"),
        (BedrockFailure("UnrecognizedClientException", 403, "x"), 403, "permission_error"),
        (BedrockFailure("InvalidSignatureException", 403, "signature"), 403, "permission_error"),
        (
            BedrockFailure("KeysUnavailable", 403, "cannot get AWS credentials: x", "aws sso login"),
            403,
            "permission_error",
        ),
        (BedrockFailure("Unreachable", 503, ""), 503, "api_error"),
        (BedrockFailure("Broken", 502, ""), 502, "api_error"),
        (BedrockFailure("Timeout", 504, ""), 504, "timeout_error"),
        (BedrockFailure("EngineFailed", 503, "LiteLLM is still loading"), 503, "api_error"),
        (BedrockFailure("", 0, ""), 502, "api_error"),
        (BedrockFailure("", 418, "tea"), 502, "api_error"),
        (BedrockFailure("", 400, ""), 502, "api_error"),  # LiteLLM, of an error in a stream that it does not know
        (BedrockFailure("", 413, ""), 413, "request_too_large"),
        (BedrockFailure("", 401, "no"), 403, "permission_error"),
        (BedrockFailure("", 403, "<html>"), 403, "permission_error"),
        (BedrockFailure("", 403, "The security token included in the request is expired"), 403, "permission_error"),
        (BedrockFailure("SignatureDoesNotMatch", 403, "x"), 403, "permission_error"),
    ],
)
def test_what_the_client_is_told(failure: BedrockFailure, status: int, kind: str) -> None:
    meaning = errors.error_reply(failure)
    assert (meaning.status, type_of(meaning.status)) == (status, kind)
    assert meaning.message
    assert "123456789012" not in meaning.message
    assert (b"x-should-retry: false" in meaning.lines) == (status in (403, 404))


@pytest.mark.parametrize(
    "text",
    [
        "Input is too long.",
        "Input is too long for requested model.",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "context_management: Extra inputs are not permitted",
        "Unexpected value(s) `x-1` for the `anthropic-beta` header",
        "messages.1.role: Input should be 'user' or 'assistant'",
        'The model returned the following errors: Unexpected role "system"',
        "This model does not support the effort parameter.",
        "adaptive thinking is not supported on this model",
        "tools.0: Input tag 'tool_reference' found does not match any of the expected tags",
        "input length and `max_tokens` exceed context limit: 1 + 2 > 2",
        "max_tokens: 128000 > 64000, which is the maximum allowed",
        "messages.1: Invalid `signature` in `thinking` block",
    ],
)
def test_what_the_client_mends_goes_word_for_word(text: str) -> None:
    failure = BedrockFailure("ValidationException", 400, text)
    assert errors.is_client_fixable(failure)
    assert errors.error_reply(failure).message == text
    assert not errors.is_client_fixable(failure._replace(status=500))
    assert not errors.is_worth_another_model(failure)


@pytest.mark.parametrize("text", ["Input is too long", "The model returned the following errors: Input is too long."])
def test_the_sentence_that_the_client_knows_only_as_the_whole(text: str) -> None:
    assert errors.error_reply(BedrockFailure("ValidationException", 400, text)).message == "Input is too long."


def test_what_tells_of_an_account_never_goes_word_for_word() -> None:
    failure = BedrockFailure("ValidationException", 400, f"Input is too long. {ARN}")
    assert not errors.is_client_fixable(failure)
    assert "Input is too long" in errors.error_reply(failure).message


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (f"User: {ARN} is not authorized", "User: *** is not authorized"),
        ("account 123456789012 has none", "account *** has none"),
        ("key AKIAIOSFODNN7EXAMPLE is", "key *** is"),
        ("heron@example.com may not", "*** may not"),
        ("1234567890123 tokens", "1234567890123 tokens"),
        ("in account 123456789012.", "in account ***."),
        ("bucket-123456789012 is", "bucket-*** is"),
        ("The Canonical String should have been\nx-amz-security-token:SECRET==", "***"),
        ("signed with x-amz-security-token:SECRET==", "signed with ***"),
        ("arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:x/y,", "***,"),
        ("x" * 9000, "x" * 2000),
    ],
)
def test_what_is_hidden(text: str, hidden: str) -> None:
    assert errors.masked(text) == hidden


def test_a_text_of_any_length_takes_no_time() -> None:
    """We are on the relay's loop. A pattern that began anew at each letter took minutes for this."""
    failure = BedrockFailure("ValidationException", 400, "x" * 200_000)
    with effort() as spent:
        assert len(errors.error_reply(failure).message) == 2000
        assert not errors.is_client_fixable(failure)
    assert spent.amount < 100


@pytest.mark.parametrize(
    ("failure", "signature", "credentials", "another"),
    [
        (BedrockFailure("ValidationException", 400, "Invalid `signature` in `thinking` block"), True, False, False),
        (BedrockFailure("InvalidSignatureException", 403, "the signature is wrong"), False, True, False),
        (BedrockFailure("ExpiredTokenException", 403, ""), False, True, False),
        (BedrockFailure("", 403, "The security token included in the request is expired"), False, True, False),
        (BedrockFailure("", 403, "<html>"), False, False, False),
        (BedrockFailure("ThrottlingException", 429, ""), False, False, True),
        (BedrockFailure("ResourceNotFoundException", 404, ""), False, False, True),
        (BedrockFailure("AccessDeniedException", 403, ""), False, False, True),
        (BedrockFailure("ValidationException", 400, "odd"), False, False, False),
        (BedrockFailure("Broken", 502, ""), False, False, True),
    ],
)
def test_what_can_be_done(failure: BedrockFailure, signature: bool, credentials: bool, another: bool) -> None:
    assert errors.is_signature_failure(failure) is signature
    assert errors.is_credential_failure(failure) is credentials
    assert errors.is_worth_another_model(failure) is another
    assert bool(errors.recovery_hint(failure)) is credentials


@pytest.mark.parametrize("kind", ["Certificate", "Proxy"])
def test_what_stands_between_is_told_with_what_helps(kind: str) -> None:
    failure = BedrockFailure(kind, 503, "the certificate of x is not trusted", "this")
    reply = errors.error_reply(failure)
    assert (reply.status, reply.lines) == (502, (b"x-should-retry: false",))
    assert reply.message == "the certificate of x is not trusted. Run: this"
    assert errors.recovery_hint(failure) == f"Bedrock could not step in: {reply.message}"
    assert not errors.is_worth_another_model(failure)
    assert "answered" not in errors.describe(failure._replace(message=""))


def test_the_command_that_mends_it() -> None:
    failure = BedrockFailure("KeysUnavailable", 403, "cannot get AWS credentials: the login has ended", "aws sso login")
    assert errors.recovery_hint(failure).endswith("Run: aws sso login")
    assert "Run: aws sso login" in errors.error_reply(failure).message


@pytest.mark.parametrize(
    ("failure", "header"),
    [
        (BedrockFailure("ThrottlingException", 429, "x"), "bedrock ThrottlingException 429"),
        (BedrockFailure("", 502, "x"), "bedrock 502"),
        (BedrockFailure("no\r\nname", 502, "x"), "bedrock 502"),
    ],
)
def test_what_a_header_says(failure: BedrockFailure, header: str) -> None:
    assert errors.summary(failure) == header


GONE = BedrockFailure("EngineFailed", 503, "HTTP 503 without a reason")  # so it is asked without LiteLLM


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        (b'{"kind": "X", "status": 429, "message": "m"}', BedrockFailure("X", 429, "m")),
        (b"", GONE),
        (b"<html>", GONE),
        (b"[]", GONE),
        (b'{"kind": "X"}', GONE),
        (b'{"kind": "X", "status": 1e999, "message": "m"}', GONE),
        (b"[" * 100_000, GONE),
    ],
)
def test_what_the_engine_says(body: bytes, failure: BedrockFailure) -> None:
    assert errors.read(503, body) == failure


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}, BedrockFailure("", 529, "m")),
        ({"type": "error", "error": {"type": "odd", "message": "m"}}, BedrockFailure("", 500, "m")),
        (
            {"kind": "throttlingException", "status": 429, "message": "m"},
            BedrockFailure("throttlingException", 429, "m"),
        ),
        ({"type": "error"}, BedrockFailure("", 502, "")),
    ],
)
def test_what_an_event_says(data: dict[str, object], failure: BedrockFailure) -> None:
    assert errors.read_event(json.dumps(data).encode()) == failure


def test_nothing_that_acts_on_a_terminal_is_told() -> None:
    for kind in ("", "ThrottlingException", "AccessDeniedException", "ResourceNotFoundException", "KeysUnavailable"):
        failure = BedrockFailure(kind, 500, "a\x1b[2J\x9b\u202e\nb", "hint")
        reply = errors.error_reply(failure).message + errors.recovery_hint(failure) + errors.describe(failure)
        assert not set(reply) & {"\x1b", "\x9b", "\u202e"}
    healing = BedrockFailure("ValidationException", 400, "prompt is too long\x1b[2J")
    assert errors.error_reply(healing).message == "prompt is too long\\x1b[2J"
    assert "a\\x1b[2J" in errors.error_reply(BedrockFailure("ThrottlingException", 429, "a\x1b[2J")).message


@pytest.mark.parametrize(
    ("status", "error_type", "body", "expected"),
    [
        (429, b"ThrottlingException:http://x/", b'{"message":"slow"}', ("ThrottlingException", 429, "slow")),
        (429, b"", b'{"__type":"a.b#ThrottlingException","Message":"slow"}', ("ThrottlingException", 429, "slow")),
        (404, b"", b'{"Output":{"__type":"a#UnknownOperationException"}}', ("UnknownOperationException", 404, "")),
        (400, b"", b'{"type":"error","error":{"type":"x","message":"no"}}', ("", 400, "no")),
        (400, b"", b'{"message":{"a":1}}', ("", 400, "")),
        (500, b"", b"[]", ("", 500, "")),
        (500, b"", b'"upstream failed"', ("", 500, "upstream failed")),
        (500, b"", b"upstream connect error\n", ("", 500, "upstream connect error")),
        (403, b"", b" <h1>no signature</h1>", ("", 403, "it answered 403 with a page (text/html)")),
        (503, b"", b"\xff", ("", 503, "\ufffd")),
        (503, b"", b"", ("", 503, "")),
    ],
)
def test_an_answer_of_aws(status: int, error_type: bytes, body: bytes, expected: tuple[str, int, str]) -> None:
    assert errors.of_answer(status, error_type, body) == BedrockFailure(*expected)


def test_what_a_page_says_is_not_about_credentials() -> None:
    failure = errors.of_answer(403, b"", b"<html>Forbidden by policy: no security token</html>")
    assert not errors.is_credential_failure(failure)
