"""The same request on two stages: what Bedrock is asked, and what the client gets, through LiteLLM and directly."""

import itertools
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from tests.fakes.bedrock_model import PRIVATE
from tests.support.stage import Reply, Stage

Both = tuple[Stage, Stage]
Arm = Callable[[Stage], object]  # lets something go wrong on a stage

# The headers of a request to Bedrock in which the two differ, and why.
DIFFERENT_HEADERS: Final = {
    "anthropic-beta": "what the client sends as a header in Bedrock mode: LiteLLM cannot (patches.allow_betas)",
    "authorization": "the two sign other headers",
    "host": "two fakes, two ports",
    "x-amz-date": "the time",
    "content-length": "blanks between the tokens of the JSON",
    "user-agent": "LiteLLM's HTTP client names itself, the relay does not",
    "accept": "LiteLLM's HTTP client takes anything",
    "accept-encoding": "nor does the relay ask for a coding",
    "connection": "LiteLLM's HTTP client writes the default",
}
# The headers of an answer in which they differ.
_DIFFERENT_ANSWERS: Final = {
    "date": "the time",
    "x-gateway-bedrock": "it says which of the two it is",
    "x-litellm-model-api-base": "two fakes, two ports",
}
_IDS: Final = re.compile(rb"(msg|toolu)_bdrk_\w+")
_REQUEST_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Seen(NamedTuple):
    """What one of the two has led to: what Bedrock was asked, and what the client got."""

    asked: list[tuple[str, dict[str, str], Any]]
    status: int
    headers: dict[str, str]
    body: Any


def same(both: Both, act: Callable[[Stage], Reply], *, but: Collection[str] = ()) -> Seen:
    """Do the same on both stages; return what came of it, which is the same too, *but* for fields of Seen."""
    litellm, direct = (_seen(stage, act) for stage in both)
    found = [text for name, text in _differences(litellm, direct) if name not in but]
    assert not found, "\n".join(found)
    return direct


def same_or_no_request(both: Both, act: Callable[[Stage], Reply]) -> Seen:
    """Do the same on both stages; what came of it is the same too, or an error in both cases.

    LiteLLM reads what it translates: it refuses some that is no request before Bedrock does (text that is a list, no
    max_tokens), and drops blocks that Bedrock refuses (thinking without a signature, text without words).
    """
    litellm, direct = (_seen(stage, act) for stage in both)
    found = [text for _, text in _differences(litellm, direct)]
    assert not found or (litellm.status >= 400 and direct.status == 400), "\n".join(found)
    return direct


def _seen(stage: Stage, act: Callable[[Stage], Reply]) -> Seen:
    reply = act(stage)
    for private in PRIVATE:
        assert private not in reply.body.decode()
    headers = {name: value for name, value in reply.headers.items() if name not in _DIFFERENT_ANSWERS}
    headers.pop("content-length", None)  # of JSON with the ids that differ
    if (found := headers.pop("request-id", None)) is not None:
        assert _REQUEST_ID.fullmatch(found), reply
        headers["request-id"] = "Bedrock's"
    reply = Reply(reply.status, reply.headers, _IDS.sub(rb"\1", reply.body))
    is_stream = reply.headers["content-type"].startswith("text/event-stream")
    return Seen(_asked_of(stage), reply.status, headers, reply.events if is_stream else reply.json)


def _asked_of(stage: Stage) -> list[tuple[str, dict[str, str], Any]]:
    asked = []
    for request in stage.to_bedrock():
        if not request.complete:
            continue
        headers = {name.lower().decode(): value.decode() for name, value in request.headers}
        kept = {name: value for name, value in headers.items() if name not in DIFFERENT_HEADERS}
        body = request.json()
        if "anthropic_beta" in body:
            body["anthropic_beta"].sort()  # LiteLLM sorts them
        asked.append((unquote(request.path), kept, body))  # the client writes "%3A", which LiteLLM does not
    return asked


def _differences(litellm: Seen, direct: Seen) -> Iterator[tuple[str, str]]:
    for name, one, other in zip(Seen._fields, litellm, direct, strict=True):
        for text in _within(one, other, name):
            yield name, text


def _within(one: Any, other: Any, place: str) -> Iterator[str]:
    """Yield where two JSON values differ: a request is too long to be printed twice."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one | other:
            yield from _within(one.get(key, "(absent)"), other.get(key, "(absent)"), f"{place}.{key}")
    elif isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        for number, pair in enumerate(itertools.zip_longest(one, other, fillvalue="(absent)")):
            yield from _within(*pair, f"{place}[{number}]")
    elif repr(one) != repr(other):  # 1, 1.0 and True are equal
        yield f"{place}: {one!r:.200} through LiteLLM, {other!r:.200} directly"


def does(verb: str, *arguments: Any, **named: Any) -> Arm:
    """Let the Bedrock of a stage do something, by the verb of the fake."""
    return lambda stage: getattr(stage.bedrock, verb)(*arguments, **named)
