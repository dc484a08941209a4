"""What comes in place of an answer, from Bedrock or a proxy, reaches the client the same by both transports."""

import gzip
import json
from collections.abc import Mapping
from typing import Any, Final

import pytest

from tests.fakes.anthropic_faults import MESSAGES
from tests.fakes.anthropic_model import Answer, Piece
from tests.fakes.anthropic_steps import Fault
from tests.fakes.bedrock_model import ERRORS
from tests.scenarios.fallback.same import Arm, Both, does, same
from tests.support.stage import MODEL, Reply, Stage, turn

pytestmark = pytest.mark.slow

_TIMES: Final = 9  # more than either asks


def page(status: int, kind: str, body: bytes, **headers: str) -> Arm:
    """Let Bedrock answer so, however often it is asked."""
    lines = [(b"Content-Type", kind.encode())] if kind else []
    lines += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    answer = Answer(status, tuple(lines), (Piece(body),))
    return does("next_is", Fault(lambda usual, request_id: answer), path=MESSAGES, times=_TIMES)


def fails(status: int | None = None, **named: Any) -> Arm:
    return does("fail_next", status, times=_TIMES, **named)


JSON: Final = "application/json"
HTML: Final = b"<html><body>Sign in to the network of arn:aws:iam::123456789012:role/x</body></html>"
STATUSES: Final = (400, 401, 402, 403, 404, 405, 408, 409, 413, 415, 424, 429, 451, 500, 501, 502, 503, 504, 529)
WORDS: Final = (
    "The security token included in the request is expired", "max_tokens: 400000 > 64000, which is the maximum",
    "Input is too long for requested model.", "prompt is too long: 210000 tokens > 200000 maximum",
    "messages.1.content.0.thinking.signature: Invalid `signature` in `thinking` block",
    "The model returned the following errors: Input is too long.", "invalid beta flag",
    "tools.0.custom.eager_input_streaming: Extra inputs are not permitted", "", "\u2028 \x1b[31mred\x1b[0m \ud800",
)  # fmt: skip

FAULTS: Final[Mapping[str, Arm]] = {
    **{kind: fails(kind=kind, private=True) for kind in ERRORS},
    **{f"{kind}, as it is": fails(kind=kind) for kind in ERRORS},
    **{f"status {status}": fails(status, kind="NewException") for status in STATUSES},
    **{
        f"400 {words[:24]!r}": fails(kind="ValidationException", body=json.dumps({"message": words}).encode())
        for words in WORDS
    },
    **{
        f"{status} {kind} {body[:6]!r}": page(status, kind, body)
        for status in (200, 302, 400, 403, 404, 407, 413, 429, 500, 502, 503, 504)
        for kind, body in (("text/html", HTML), (JSON, b""), (JSON, b"[]"))
    },
    **{
        f"{status} in gzip": page(status, JSON, gzip.compress(b'{"message":"so it is"}'), content_encoding="gzip")
        for status in (400, 403, 429, 500, 503)
    },
    "a redirect": page(307, "", b"", location="https://user:secret@elsewhere.example/there?secret"),
    "403 of the front end": page(403, JSON, b'{"message":"The security token is invalid."}'),
    "403 of a firewall": page(403, "text/html", b"<h1>Forbidden: no valid signature</h1>"),
    "401 of a front end": page(401, JSON, b'{"Message":"Authentication failed: bad API Key"}'),
    "__type": page(429, JSON, b'{"__type":"com.amazon.coral#ThrottlingException","message":"m"}'),
    "Output": page(404, JSON, b'{"Output":{"__type":"x#UnknownOperationException"},"Version":"1.0"}'),
    "Anthropic's form": page(400, JSON, b'{"type":"error","error":{"type":"invalid_request_error","message":"no"}}'),
    "a message that is no text": page(400, JSON, b'{"message":{"a":1}}'),
    "a large error": page(503, JSON, b'{"message":"' + b"x" * 100_000 + b'"}'),
    "a huge page": page(503, "text/html", HTML * 20_000),
    "a text": page(500, "text/plain", b"upstream connect error or disconnect/reset before headers"),
    "no type": page(503, "", b"x"),
    "an expired key": does("expire_key"),
    "a revoked key": does("revoke_key"),
    "a denied key": does("deny_key"),
}  # fmt: skip


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("what", FAULTS)
def test_an_error(both: Both, what: str, stream: bool) -> None:
    found = same(both, lambda stage: faced(stage, FAULTS[what], stream=stream))
    assert found.status >= 400
    assert found.body["type"] == "error"
    assert found.headers["request-id"] == "Bedrock's"


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_success_in_gzip_that_is_none(both: Both, stream: bool) -> None:
    """LiteLLM's HTTP client decodes it, and finds nothing in it; directly it is refused: nobody has asked for it."""
    arm = page(200, JSON, gzip.compress(b'{"message":"so it is"}'), content_encoding="gzip")
    found = same(both, lambda stage: faced(stage, arm, stream=stream), but=["body"])
    assert (found.status, found.headers["request-id"]) == (502, "Bedrock's")


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("place", ["nothing", "before-head", "half-head", "head"])
def test_a_cut_before_the_answer(both: Both, place: str, how: str, stream: bool) -> None:
    """LiteLLM's HTTP client asks once more by itself, where not a byte had come."""
    arm = does("cut_next", place, how, times=_TIMES)
    assert same(both, lambda stage: faced(stage, arm, stream=stream), but=["asked"]).status == 502


def faced(stage: Stage, arm: Arm, *, stream: bool) -> Reply:
    """Return the answer to a turn that meets a fault; then all is well again."""
    arm(stage)
    try:
        return stage.ask(turn(model=f"{MODEL}-bedrock", stream=stream))
    finally:
        stage.bedrock.clear_faults()
        stage.bedrock.revive_key()
        stage.bedrock.refusals.clear()
