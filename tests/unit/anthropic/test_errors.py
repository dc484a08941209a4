"""Errors of our own, in Anthropic's form."""

import json

import pytest

from claude_gatewayd.anthropic import errors as anthropic_errors


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (400, "invalid_request_error", b"Bad Request"),
        (402, "billing_error", b"Payment Required"),
        (401, "authentication_error", b"Unauthorized"),
        (403, "permission_error", b"Forbidden"),
        (404, "not_found_error", b"Not Found"),
        (405, "invalid_request_error", b"Method Not Allowed"),
        (408, "invalid_request_error", b"Request Timeout"),
        (413, "request_too_large", None),
        (421, "invalid_request_error", b"Misdirected Request"),
        (429, "rate_limit_error", b"Too Many Requests"),
        (431, "invalid_request_error", b"Request Header Fields Too Large"),
        (500, "api_error", b"Internal Server Error"),
        (501, "not_supported", b"Not Implemented"),
        (502, "api_error", b"Bad Gateway"),
        (503, "api_error", b"Service Unavailable"),
        (504, "timeout_error", b"Gateway Timeout"),
        (505, "api_error", b"HTTP Version Not Supported"),
        (529, "overloaded_error", b"Overloaded"),
        (599, "api_error", b""),
    ],
)
def test_every_status(status: int, kind: str, reason: bytes | None) -> None:
    body = json.loads(anthropic_errors.error_body(status, "cannot"))
    assert body == {"type": "error", "error": {"type": kind, "message": "cannot"}}
    if reason is not None:  # Python 3.13 has another name for 413
        assert anthropic_errors.reason(status) == reason


@pytest.mark.parametrize("message", ["two\nlines\r\n\r\n", 'a "quoted" word', "ü…\x00", ""])
def test_any_message_stays_one_event(message: str) -> None:
    event = anthropic_errors.error_event(502, message)
    assert event.startswith(b"event: error\ndata: {")
    assert event.endswith(b"}\n\n")
    assert event.count(b"\n") == 3
    assert json.loads(event.splitlines()[1].removeprefix(b"data: "))["error"]["message"] == message


def test_a_sentence_more() -> None:
    changed = anthropic_errors.with_sentence(anthropic_errors.error_body(529, "Overloaded."), "Run: foo")
    assert changed is not None
    assert json.loads(changed) == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Overloaded. Run: foo"},
    }


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"error":"x"}', b'{"error":{"message":7}}', b"\xff", b"[" * 30_000,
     b'{"error":{"message":"m"},"more":' + b"[" * 30_000],
)  # fmt: skip
def test_no_sentence_in_what_is_no_envelope(body: bytes) -> None:
    assert anthropic_errors.with_sentence(body, "Run: foo") is None


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"Internal Server Error", {"message": "Internal Server Error"}),  # of LiteLLM's server, where LiteLLM raised
        (b"<html><h1>502", {"message": "the upstream answered 500 without a message"}),
        (b"", {"message": "the upstream answered 500 without a message"}),
        (b"[" * 30_000, {"message": "the upstream answered 500 without a message"}),
        (b'["x"]', {"message": "the upstream answered 500 without a message"}),
        (b'{"detail":"Not Found"}', {"message": "Not Found"}),
        (b'{"detail":[{"msg":"m"}]}', {"message": '[{"msg": "m"}]'}),
        (b'{"message":"m"}', {"message": "m"}),
        (b'{"error":{"message":"a\\u001b[2J\\u202e\\nb"}}', {"message": "a\\x1b[2J\\u202e\nb"}),
        (b"a\x1b[2J", {"message": "a\\x1b[2J"}),
        (b'{"error":"m"}', {"message": "m"}),
        (b'{"error":{"message":"m","type":"None","code":"500"}}', {"message": "m", "code": "500"}),
        (b'{"error":{"message":"m","type":"a_b","param":"p","x":1}}',
         {"message": "m", "type": "a_b", "param": "p", "x": 1}),
        (b'{"error":{"message":"m\\nTraceback (most recent call last):\\n  File"}}', {"message": "m"}),
        (b'data: {"error":{"message":"m","type":null}}\n\ndata: [DONE]\n\n', {"message": "m"}),
        (b'event: error\ndata: {"error":{"message":"m"}}\n\n', {"message": "m"}),
        (b"\xff" * 5000, {"message": "\ufffd" * 1000}),
    ],
)  # fmt: skip
def test_whatever_fails_is_told_in_openais_form(body: bytes, error: dict[str, object]) -> None:
    changed = json.loads(anthropic_errors.as_openai_error(500, body))
    assert changed["error"] == {"type": "api_error", "param": None, "code": None, **error}
    assert changed.keys() - {"error"} <= json.loads(anthropic_errors.openai_error_body(500, "")).keys()


def test_openais_form_of_our_own() -> None:
    error = {"message": "cannot", "type": "permission_error", "param": None, "code": None}
    assert json.loads(anthropic_errors.openai_error_body(403, "cannot")) == {"type": "error", "error": error}


def test_a_type_and_its_status_name_each_other() -> None:
    table = anthropic_errors.STATUS_OF_TYPE
    assert {kind: anthropic_errors.type_of(status) for kind, status in table.items()} == {kind: kind for kind in table}
