"""Errors of our own, in the form that Anthropic gives its errors and Claude Code shows to the person."""

import json
from http import HTTPStatus

# facts of the contract that `claude gateway` publishes, section "Errors"; anything else of the 500s is api_error.
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "invalid_request_error",
    413: "request_too_large",
    421: "invalid_request_error",
    429: "rate_limit_error",
    431: "invalid_request_error",
    501: "not_supported",
    529: "overloaded_error",
}


def error_body(status: int, message: str, kind: str = "") -> bytes:
    """Return Anthropic's envelope round *message*, which the person reads: what, why, and the command that mends it.

    *kind* is the error's type where it is not the one that the status has by itself.
    """
    error = {"type": kind or _TYPES.get(status, "api_error"), "message": message}
    return json.dumps({"type": "error", "error": error}).encode()


def error_event(status: int, message: str, kind: str = "") -> bytes:
    """Return the same as an SSE event, for a stream that has begun."""
    return b"event: error\ndata: " + error_body(status, message, kind) + b"\n\n"


def with_sentence(body: bytes, sentence: str) -> bytes | None:
    """Return an error in Anthropic's envelope with a sentence more in its message; None for what is none."""
    try:
        said = json.loads(body)
        said["error"]["message"] = f"{said['error']['message'].rstrip(' .')}. {sentence}"
        return json.dumps(said).encode()
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None


def reason(status: int) -> bytes:
    """Return the reason phrase of a status."""
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Overloaded" if status == 529 else b""
