"""However Bedrock's stream fails, or what is in it, the client gets the same events by both transports."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import pytest

from tests.fakes.anthropic_http import How
from tests.fakes.anthropic_model import Answer, Piece
from tests.fakes.anthropic_steps import Cut, Delay, End, Fault, steps_until
from tests.fakes.bedrock import STREAM
from tests.fakes.bedrock_frames import event_frame, exception_piece
from tests.fakes.bedrock_model import EXCEPTIONS
from tests.scenarios.fallback.same import Arm, Both, does, same
from tests.support.stage import MODEL, Reply, Stage, turn

pytestmark = pytest.mark.slow


def changed(change: Callable[[list[Piece]], list[Piece]]) -> Arm:
    """Let the next stream be another, message by message."""

    def answer(usual: Answer, request_id: str) -> Answer:
        return replace(usual, pieces=tuple(change(list(usual.pieces))))

    return does("next_is", Fault(answer), path=STREAM)


def with_event(data: bytes, at: int) -> Arm:
    """Let any bytes be an event in the next stream."""
    payload = json.dumps({"bytes": base64.b64encode(data).decode()}).encode()
    return changed(lambda usual: [*usual[:at], Piece(event_frame("chunk", payload), ""), *usual[at:]])


def with_messages(*pieces: Piece) -> Arm:
    """Let these be in the next stream, after its second event."""
    return changed(lambda usual: [*usual[:2], *pieces, *usual[2:]])


def delta(more: bytes, text: bytes = b"x") -> bytes:
    return b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%b"}%b}' % (text, more)


AFTER: Final = ("head", "message_start", "content_block_delta", "message_delta")
NEW: Final = ("brandNewException", "accessDeniedException", "expiredTokenException", "serviceQuotaExceededException")
OWN: Final = (
    "overloaded_error", "rate_limit_error", "api_error", "invalid_request_error", "authentication_error",
    "permission_error", "new_error",
)  # fmt: skip
EVENTS: Final = {
    "no JSON": b"x",
    "JSON that is cut": b'{"type":"content_block_delta","index":0',
    "JSON with something behind": delta(b"") + b"}",
    "a list": b"[]",
    "a text": b'"x"',
    "nothing": b"",
    "null": b"null",
    "no type": b"{}",
    "a type that is no text": b'{"type":1}',
    "a ping": b'{"type":"ping"}',
    "a new event": b'{"type":"new_event","x":1}',
    "half a surrogate pair, escaped": delta(b"", b"\\ud83d"),
    "half a surrogate pair": delta(b"", b"\xed\xa0\xbd"),
    "a surrogate pair, escaped": delta(b"", b"\\ud83d\\ude00"),
    "no UTF-8": delta(b"", b"\xff"),
    "line separators": delta(b"", "\u2028\u0085".encode()),
    "lines": b'{\n"type":"content_block_delta",\r\n"index":0,"delta":{"type":"text_delta","text":"x"}}',
    "a type behind": b'{"index":0,"delta":{"type":"text_delta","text":"x"},"type":"content_block_delta"}',
    "numbers": delta(b',"n":[1.0,1e3,-0,98765432109876543210]'),
    "NaN": delta(b',"n":NaN'),
    "a key twice": delta(b',"index":1'),
    "a line in its type": b'{"type":"a\\nevent: message_stop"}',
    "a second start": b'{"type":"message_start","message":{}}',
    "an end": b'{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":1}}',
    "an error of no form": b'{"type":"error"}',
}
FAULTS: Final[Mapping[str, Arm]] = {
    **{
        f"{kind} after {after}": does("exception_next", kind, after=after, private=True)
        for kind in (*EXCEPTIONS, *NEW)
        for after in AFTER
    },
    **{
        f"error {code} after {after}": does("unmodeled_error_next", code, after=after)
        for code in ("internalFailure", "badRequest", "throttlingException", "validationException")
        for after in AFTER
    },
    **{
        f"{kind} of Anthropic's after {after}": does("event_error_next", kind, after=after, message="so it is")
        for kind in OWN
        for after in ("head", "content_block_delta")
    },
    **{
        f"bad {part} after {after}": does("corrupt_next", part, after=after)
        for part in ("prelude", "length", "payload", "message")
        for after in ("head", "content_block_delta")
    },
    **{f"truncated after {after}": does("truncate_next", after) for after in AFTER},
    **{
        f"no message_stop after {after}": does("end_without_message_stop_next", after, path=STREAM)
        for after in AFTER[1:]
    },
    **{f"{name} as event {at}": with_event(data, at) for name, data in EVENTS.items() for at in (0, 3)},
    "no event at all": changed(lambda usual: []),
    "an unknown kind of event": with_messages(Piece(event_frame("news", b"{}"), "")),
    "an event of no form": with_messages(Piece(event_frame("chunk", b"[]"), "")),
    "an exception of no form": with_messages(exception_piece("throttlingException", {})),
    "an exception with a long text": with_messages(
        exception_piece("modelStreamErrorException", {"message": "x" * 50_000})
    ),
    "an exception that tells of the original": with_messages(
        exception_piece("modelStreamErrorException", {"originalMessage": "so it was", "originalStatusCode": 529})
    ),
    "what follows the end": changed(lambda usual: [*usual, *usual]),
    "a stall": does("hold_next", "message_delta"),
    "pings in a silent gap": does("stall_next", "content_block_delta", ping_every=0.5),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_stream(both: Both, what: str) -> None:
    same(both, lambda stage: faced(stage, FAULTS[what]))


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("place", ["first-event", "mid-event", "mid-chunk", "last-event"])
def test_a_cut(both: Both, place: Cut, how: How) -> None:
    """A moment after what has come: what comes together with a cut is lost by LiteLLM's HTTP client."""
    cut = Fault(steps=lambda steps: [*steps_until(steps, place), Delay(0.3), End(how)])
    same(both, lambda stage: faced(stage, does("next_is", cut, path=STREAM)))


def faced(stage: Stage, arm: Arm) -> Reply:
    """Return the answer to a turn whose stream meets a fault."""
    arm(stage)
    try:
        return stage.ask(turn(model=f"{MODEL}-bedrock"))
    finally:
        stage.bedrock.clear_faults()
        stage.bedrock.release()
