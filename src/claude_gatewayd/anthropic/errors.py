"""Error bodies in Anthropic's format, which Claude Code shows to the person, and in OpenAI's."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from claude_gatewayd import printable
from claude_gatewayd.anthropic.sse import data_of, spans

# The one table of error types and their statuses. A = platform.claude.com/docs/en/api/errors; GW = the contract that
# `claude gateway` of 2.1.330 publishes, which has 429 for billing_error too: the cap of a gateway.
STATUS_OF_TYPE: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,  # A: and any other 4xx
    "authentication_error": 401,
    "billing_error": 402,  # A
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,  # GW: and any other 5xx, 503 too
    "not_supported": 501,  # GW
    "timeout_error": 504,  # A
    "overloaded_error": 529,
}
_TYPE_OF_STATUS: Final = {status: error_type for error_type, status in STATUS_OF_TYPE.items()}
_MAX_MESSAGE = 1000  # characters of an error body that is in neither format


def type_of(status: int) -> str:
    """Return the error type that a status has by itself."""
    return _TYPE_OF_STATUS.get(status) or ("invalid_request_error" if 400 <= status < 500 else "api_error")


def error_body(status: int, message: str, details: Mapping[str, str] | None = None) -> bytes:
    """Return an error in Anthropic's envelope.

    *message* is shown to the person: what failed, why, and the command that fixes it. *details* are for programs.
    """
    error: dict[str, object] = {"type": type_of(status), "message": message}
    if details:
        error["details"] = dict(details)
    return json.dumps({"type": "error", "error": error}).encode()


def error_event(status: int, message: str) -> bytes:
    """Return the same as an SSE event, for a stream that has begun."""
    return b"event: error\ndata: " + error_body(status, message) + b"\n\n"


def read_error(body: bytes) -> tuple[str, str]:
    """Return type and message of an error in Anthropic's envelope, each "" where that is not in it."""
    try:
        error = json.loads(body)["error"]
        kind, message = error.get("type"), error.get("message")
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return "", ""
    return kind if isinstance(kind, str) else "", message if isinstance(message, str) else ""


def with_sentence(body: bytes, sentence: str) -> bytes | None:
    """Append a sentence to the message of an error in Anthropic's envelope. Return None for any other body."""
    try:
        document = json.loads(body)
        document["error"]["message"] = f"{document['error']['message'].rstrip(' .')}. {sentence}"
        return json.dumps(document).encode()
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None


def openai_error_body(status: int, message: str) -> bytes:
    """Return an error in OpenAI's envelope. A client that expects Anthropic's can read it as well."""
    error = {"message": message, "type": type_of(status), "param": None, "code": None}
    return json.dumps({"type": "error", "error": error}).encode()


def as_openai_error(status: int, body: bytes) -> bytes:
    """Convert an upstream's error body to OpenAI's envelope, whatever its form. Fields of its own are kept."""
    document = _document(body)
    error = document.get("error")
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        kind = error.get("type")
        named = {} if isinstance(kind, str) and kind not in ("", "None") else {"type": type_of(status)}
        own = error["message"].partition("\nTraceback")[0]  # without LiteLLM's, with the paths of this machine
        message = printable.lines(own)  # a client shows it on a terminal
        whole = {"param": None, "code": None, **error, **named, "message": message}
        return json.dumps({**document, "error": whole}).encode()
    found = next((value for value in (error, document.get("message"), document.get("detail")) if value), "")
    if not document and not body.lstrip().startswith((b"<", b"{", b"[")):
        found = body.decode(errors="replace").strip()
    text = found if isinstance(found, str) else json.dumps(found)
    return openai_error_body(
        status, printable.lines(text[:_MAX_MESSAGE]) or f"the upstream answered {status} without a message"
    )


def message_of(status: int, body: bytes) -> str:
    """Return the message of an upstream's error body, whatever its form."""
    message: str = json.loads(as_openai_error(status, body))["error"]["message"]
    return message


def _document(body: bytes) -> dict[str, Any]:
    """Parse an error body: a JSON object, or a stream whose first event holds one, as LiteLLM may send it.

    Return an empty object for any other body.
    """
    if (stream := body.lstrip()).startswith((b"event:", b"data:")):
        body = data_of(next((stream[:end] for _start, end, _after in spans(stream)), stream))
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def reason(status: int) -> bytes:
    """Return the reason phrase of a status."""
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Overloaded" if status == 529 else b""
