"""What a failure at Bedrock means for the client."""

import json
import time

import pytest

from claude_gatewayd.bedrock import errors
from claude_gatewayd.bedrock.errors import Trouble

ARN = "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Admin_0123/heron@example.com"


@pytest.mark.parametrize(
    ("trouble", "status", "kind"),
    [
        (Trouble("ThrottlingException", 429, "Too many tokens"), 429, "rate_limit_error"),
        (Trouble("throttlingException", 429, "Too many tokens"), 429, "rate_limit_error"),
        (Trouble("ModelNotReadyException", 429, "x"), 429, "rate_limit_error"),
        (Trouble("ServiceQuotaExceededException", 400, "x"), 429, "rate_limit_error"),
        (Trouble("ModelTimeoutException", 408, "x"), 504, "timeout_error"),
        (Trouble("ModelErrorException", 424, "x"), 502, "api_error"),
        (Trouble("modelStreamErrorException", 424, "x"), 502, "api_error"),
        (Trouble("InternalServerException", 500, "x"), 500, "api_error"),
        (Trouble("ServiceUnavailableException", 503, "x"), 529, "overloaded_error"),
        (Trouble("ValidationException", 400, "odd"), 400, "invalid_request_error"),
        (Trouble("ValidationException", 400, "The provided model identifier is invalid."), 404, "not_found_error"),
        (Trouble("ResourceNotFoundException", 404, "x"), 404, "not_found_error"),
        (Trouble("AccessDeniedException", 403, ARN), 403, "permission_error"),
        (Trouble("ValidationException", 400, "Operation not allowed"), 403, "permission_error"),
        (Trouble("ExpiredTokenException", 403, "x"), 403, "permission_error"),
        (Trouble("UnrecognizedClientException", 403, "x"), 403, "permission_error"),
        (Trouble("InvalidSignatureException", 403, "signature"), 403, "permission_error"),
        (Trouble("KeysUnavailable", 403, "cannot get AWS credentials: x", "aws sso login"), 403, "permission_error"),
        (Trouble("Unreachable", 503, ""), 503, "api_error"),
        (Trouble("Broken", 502, ""), 502, "api_error"),
        (Trouble("Timeout", 504, ""), 504, "timeout_error"),
        (Trouble("EngineFailed", 503, "LiteLLM is still loading"), 503, "api_error"),
        (Trouble("", 0, ""), 502, "api_error"),
        (Trouble("", 418, "tea"), 502, "api_error"),
        (Trouble("", 400, ""), 502, "api_error"),  # LiteLLM, of an error in a stream that it does not know
        (Trouble("", 413, ""), 413, "request_too_large"),
        (Trouble("", 401, "no"), 403, "permission_error"),
        (Trouble("", 403, "<html>"), 403, "permission_error"),
        (Trouble("", 403, "The security token included in the request is expired"), 403, "permission_error"),
        (Trouble("SignatureDoesNotMatch", 403, "x"), 403, "permission_error"),
    ],
)
def test_what_the_client_is_told(trouble: Trouble, status: int, kind: str) -> None:
    meaning = errors.meaning(trouble)
    assert (meaning.status, meaning.error_type) == (status, kind)
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
    trouble = Trouble("ValidationException", 400, text)
    assert errors.heals(trouble)
    assert errors.meaning(trouble).message == text
    assert not errors.heals(trouble._replace(status=500))
    assert not errors.another_may_do(trouble)


@pytest.mark.parametrize("text", ["Input is too long", "The model returned the following errors: Input is too long."])
def test_the_sentence_that_the_client_knows_only_as_the_whole(text: str) -> None:
    assert errors.meaning(Trouble("ValidationException", 400, text)).message == "Input is too long."


def test_what_tells_of_an_account_never_goes_word_for_word() -> None:
    trouble = Trouble("ValidationException", 400, f"Input is too long. {ARN}")
    assert not errors.heals(trouble)
    assert "Input is too long" in errors.meaning(trouble).message


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
    begun = time.process_time()
    trouble = Trouble("ValidationException", 400, "x" * 200_000)
    assert len(errors.meaning(trouble).message) == 2000
    assert not errors.heals(trouble)
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    ("trouble", "signature", "credentials", "another"),
    [
        (Trouble("ValidationException", 400, "Invalid `signature` in `thinking` block"), True, False, False),
        (Trouble("InvalidSignatureException", 403, "the signature is wrong"), False, True, False),
        (Trouble("ExpiredTokenException", 403, ""), False, True, False),
        (Trouble("", 403, "The security token included in the request is expired"), False, True, False),
        (Trouble("", 403, "<html>"), False, False, False),
        (Trouble("ThrottlingException", 429, ""), False, False, True),
        (Trouble("ResourceNotFoundException", 404, ""), False, False, True),
        (Trouble("AccessDeniedException", 403, ""), False, False, True),
        (Trouble("ValidationException", 400, "odd"), False, False, False),
        (Trouble("Broken", 502, ""), False, False, True),
    ],
)
def test_what_can_be_done(trouble: Trouble, signature: bool, credentials: bool, another: bool) -> None:
    assert errors.is_signature(trouble) is signature
    assert errors.is_credentials(trouble) is credentials
    assert errors.another_may_do(trouble) is another
    assert bool(errors.mends(trouble)) is credentials


@pytest.mark.parametrize("kind", ["Certificate", "Proxy"])
def test_what_stands_between_is_told_with_what_helps(kind: str) -> None:
    trouble = Trouble(kind, 503, "the certificate of x is not trusted", "this")
    told = errors.meaning(trouble)
    assert (told.status, told.lines) == (502, (b"x-should-retry: false",))
    assert told.message == "the certificate of x is not trusted. Run: this"
    assert errors.mends(trouble) == f"Bedrock could not step in: {told.message}"
    assert not errors.another_may_do(trouble)
    assert "answered" not in errors.told_to_person(trouble._replace(message=""))


def test_the_command_that_mends_it() -> None:
    trouble = Trouble("KeysUnavailable", 403, "cannot get AWS credentials: the login has ended", "aws sso login")
    assert errors.mends(trouble).endswith("Run: aws sso login")
    assert "Run: aws sso login" in errors.meaning(trouble).message


@pytest.mark.parametrize(
    ("trouble", "header"),
    [
        (Trouble("ThrottlingException", 429, "x"), "bedrock ThrottlingException 429"),
        (Trouble("", 502, "x"), "bedrock 502"),
        (Trouble("no\r\nname", 502, "x"), "bedrock 502"),
    ],
)
def test_what_a_header_says(trouble: Trouble, header: str) -> None:
    assert errors.said(trouble) == header


@pytest.mark.parametrize(
    ("body", "trouble"),
    [
        (b'{"kind": "X", "status": 429, "message": "m"}', Trouble("X", 429, "m")),
        (b"", Trouble("", 503, "")),
        (b"<html>", Trouble("", 503, "")),
        (b"[]", Trouble("", 503, "")),
        (b'{"kind": "X"}', Trouble("", 503, "")),
        (b'{"kind": "X", "status": 1e999, "message": "m"}', Trouble("", 503, "")),
        (b"[" * 100_000, Trouble("", 503, "")),
    ],
)
def test_what_the_engine_says(body: bytes, trouble: Trouble) -> None:
    assert errors.read(503, body) == trouble


@pytest.mark.parametrize(
    ("data", "trouble"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}, Trouble("", 529, "m")),
        ({"type": "error", "error": {"type": "odd", "message": "m"}}, Trouble("", 500, "m")),
        ({"kind": "throttlingException", "status": 429, "message": "m"}, Trouble("throttlingException", 429, "m")),
        ({"type": "error"}, Trouble("", 502, "")),
    ],
)
def test_what_an_event_says(data: dict[str, object], trouble: Trouble) -> None:
    assert errors.read_event(json.dumps(data).encode()) == trouble


def test_nothing_that_acts_on_a_terminal_is_told() -> None:
    for kind in ("", "ThrottlingException", "AccessDeniedException", "ResourceNotFoundException", "KeysUnavailable"):
        trouble = Trouble(kind, 500, "a\x1b[2J\x9b\u202e\nb", "hint")
        told = errors.meaning(trouble).message + errors.mends(trouble) + errors.told_to_person(trouble)
        assert not set(told) & {"\x1b", "\x9b", "\u202e"}
    healing = Trouble("ValidationException", 400, "prompt is too long\x1b[2J")
    assert errors.meaning(healing).message == "prompt is too long\\x1b[2J"
    assert "a\\x1b[2J" in errors.meaning(Trouble("ThrottlingException", 429, "a\x1b[2J")).message
