"""What has happened to a request that failed, in one plain sentence. Pure."""

from collections.abc import Mapping
from typing import Any, Final

_BY_STATUS: Final = {
    400: "cannot be answered: there is a mistake in the request",
    401: "the credential was refused",
    403: "this credential may not do that",
    404: "there is no such model or path",
    408: "the client was silent in the middle of its request",
    413: "the request is too large",
    421: "a foreign Host was refused",
    424: "Bedrock is off",
    429: "a limit is reached",
    499: "the client left before the answer",
    500: "the server failed",
    501: "this is not supported",
    502: "the upstream could not be reached, or broke off",
    503: "nobody could answer",
    504: "the upstream did not answer in time",
    508: "the request came back to this gateway",
    529: "the upstream is overloaded",
}
_NAMES: Final = {"anthropic": "Anthropic", "bedrock": "Bedrock", "litellm": "LiteLLM"}


def words(record: Mapping[str, Any]) -> str:
    """Return the sentence for a row, "" for a request that went well."""
    status, upstream = int(record.get("status", 0)), str(record.get("upstream", ""))
    if record.get("is_aborted") and status < 400:
        return "The client left before the end of the answer."
    if status < 400:
        return ""
    who = _NAMES.get(upstream, "The gateway" if upstream in ("", "none") else upstream)
    what = _BY_STATUS.get(status, "the request failed")
    return f"{who} answered {status}: {what}."
