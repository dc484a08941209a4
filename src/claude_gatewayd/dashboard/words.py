"""What became of a request that did not go as it should, in one plain sentence. Pure.

A record has no text of an error: that could be a part of a prompt. So this goes by the status, by who answered, by why
Bedrock did in Anthropic's place, and by who pays.
"""

from collections.abc import Mapping
from typing import Any, Final

_GONE: Final = 499
_NAMES: Final = {"anthropic": "Anthropic", "bedrock": "Bedrock", "litellm": "LiteLLM"}

# Why Bedrock was asked in Anthropic's place: docs/usage.md lists the reasons.
_FALLBACKS: Final = {
    "limit": "your limit at Anthropic is reached",
    "billing": "your credit at Anthropic is used up",
    "overloaded": "Anthropic was overloaded",
    "timeout": "Anthropic did not answer in time",
    "unreachable": "Anthropic could not be reached",
    "error": "Anthropic failed",
    "circuit": "Anthropic had failed shortly before and was not asked",
}
# An upstream's answers; {0} is its name.
_ANSWERS: Final = {
    400: "{0} could not use the request as it was (400)",
    401: "{0} refused the credential (401)",
    402: "{0} asks for payment (402)",
    403: "{0} does not allow this with your credential (403)",
    404: "{0} does not know this model or path (404)",
    408: "{0} waited too long for the request (408)",
    413: "the request was too large for {0} (413)",
    424: "the model at {0} failed (424)",
    429: "{0} had too many requests from you (429)",
    500: "{0} had an error of its own (500)",
    502: "{0} could not be reached, or broke off (502)",
    503: "{0} was not available (503)",
    504: "{0} did not answer in time (504)",
    529: "{0} was overloaded (529)",
}
# Who is limited by 429, by who pays.
_LIMITS: Final = {
    "subscription": "your plan's limit is reached (429)",
    "api": "the rate limit of your API key is reached (429)",
    "aws": "the quota of your AWS account at Bedrock is reached (429)",
}
# The gateway's own, where it asked nobody.
_REFUSALS: Final = {
    400: "the request could not be read (400)",
    401: "the request had no valid credential (401)",
    403: "the gateway does not allow this to the caller (403)",
    404: "there is nothing at this path, or no such model (404)",
    408: "the client was silent in the middle of its request (408)",
    411: "the request did not say how long it is (411)",
    413: "the request was larger than [listen] max_body allows (413)",
    414: "the path of the request was too long (414)",
    415: "the gateway cannot decompress the request (415)",
    417: "the gateway cannot do what the request expects (417)",
    421: "the request was for another host (421)",
    424: "Bedrock is off, or cannot be used yet (424)",
    426: "the client asked for another protocol (426)",
    429: "the gateway had too many requests at once (429)",
    431: "the headers of the request were too large (431)",
    500: "the gateway had an error of its own (500): claude-gatewayctl logs",
    501: "the gateway cannot do this for this model (501)",
    502: "nobody could answer: the upstream could not be reached (502)",
    503: "the gateway could not answer now (503)",
    504: "nobody answered in time (504)",
    505: "the client spoke another version of HTTP (505)",
    508: "the request came back to the gateway: base_url leads to itself (508)",
    529: "nobody could answer: Anthropic was overloaded (529)",
}


def words(record: Mapping[str, Any]) -> str:
    """Return the sentence for a row, "" for a request that went as it should.

    *record* has the fields of a `UsageRecord`; one of a newer version may lack some.
    """
    status, upstream = int(record.get("status") or 0), str(record.get("upstream") or "none")
    before, name = _before(record), _NAMES.get(upstream, upstream)
    if record.get("is_aborted"):
        has_begun = int(record.get("answer_bytes") or 0) > 0
        return _sentence(before, f"the client left before {'the end of ' if has_begun else ''}the answer")
    if status < 400:
        return _sentence(before, f"{name} answered") if before else ""
    failure = _failure(status, upstream, name, str(record.get("billing") or ""))
    return _sentence(before, f"{failure}{_tries(upstream, int(record.get('retries') or 0))}")


def _before(record: Mapping[str, Any]) -> str:
    """Return why this was Bedrock's to answer, "" where it was not in Anthropic's place."""
    reason = str(record.get("fallback") or "")
    return _FALLBACKS.get(reason, f"Anthropic could not answer ({reason})") if reason else ""


def _failure(status: int, upstream: str, name: str, billing: str) -> str:
    if upstream == "none":
        return _REFUSALS.get(status, f"the gateway refused the request ({status})")
    if status == _GONE:
        return f"{name} ended the request (499)"
    if status == 429 and billing in _LIMITS:
        return _LIMITS[billing]
    return _ANSWERS.get(status, f"{{0}} answered with an error ({status})").format(name)


def _tries(upstream: str, retries: int) -> str:
    """Return how often Anthropic was asked: nobody else's retries are known."""
    if upstream != "anthropic" or not retries:
        return ""
    return ", asked twice" if retries == 1 else f", asked {retries + 1} times"


def _sentence(*parts: str) -> str:
    text = "; ".join(part for part in parts if part)
    return f"{text[:1].upper()}{text[1:]}."
