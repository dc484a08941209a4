"""What has happened to a request that failed, in one plain sentence. Pure: a table of what its row says."""

from collections.abc import Mapping
from typing import Any, Final

# What an upstream means by a status, and what the gateway itself does.
_UPSTREAM: Final = {
    400: "found a mistake in the request",
    401: "refused the credential",
    402: "wants to be paid first",
    403: "does not allow this to the credential",
    404: "has no such model or path",
    408: "waited too long for the request",
    413: "found the request too large",
    424: "could not be asked",
    429: "had reached a limit",
    500: "failed",
    501: "does not support this",
    502: "could not be reached, or broke off",
    503: "was not available",
    504: "did not answer in time",
    508: "was this gateway itself, by mistake",
    529: "was overloaded",
}
_GATEWAY: Final = {
    400: "could not read the request",
    401: "was sent no credential that it accepts",
    403: "does not serve web pages",
    404: "has no such model or path",
    408: "waited too long for the request",
    413: "found the request larger than [listen] max_body",
    415: "cannot read the request's content-encoding",
    421: "does not serve this Host",
    424: "could not ask Bedrock, which is off",
    431: "found the request's head too large",
    500: "made a mistake, which the daemon's log shows",
    501: "does not support this",
    503: "had too much to do, or nobody to ask",
    508: "was asked to ask itself: see [anthropic] base_url",
}
_NAMES: Final = {"anthropic": "Anthropic", "bedrock": "Bedrock", "litellm": "LiteLLM"}
_CLIENT_GONE: Final = 499


def words(record: Mapping[str, Any]) -> str:
    """Return the sentence for a row; "" for a request that went well."""
    status, upstream = int(record.get("status", 0)), str(record.get("upstream", ""))
    if record.get("is_aborted"):
        has_begun = int(record.get("answer_bytes", 0)) > 0
        return f"The client left before {'the end of ' if has_begun else ''}the answer."
    if status < 400:
        return ""
    who = _NAMES.get(upstream)
    if who is None:
        return f"The gateway {_GATEWAY.get(status, 'refused the request')} ({status})."
    what = _UPSTREAM.get(status, "failed" if status >= 500 else "refused the request")
    if status == _CLIENT_GONE:
        what = "refused the request"
    if record.get("fallback"):
        return f"{who} was asked in Anthropic's place, and {what} ({status})."
    if who == "Anthropic" and (retries := int(record.get("retries", 0))):
        tries = "twice" if retries == 1 else f"{retries + 1} times"
        return f"Anthropic {what}, asked {tries} ({status})."
    return f"{who} {what} ({status})."
