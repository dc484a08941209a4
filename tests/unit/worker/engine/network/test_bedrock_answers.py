"""Which messages of Bedrock's stream LiteLLM is given, however they come, and what is noted where it fails."""

import random

import pytest

from claude_gatewayd.bedrock.errors import BROKEN, BedrockFailure
from claude_gatewayd.worker.engine.network.bedrock_answers import GoodMessages
from tests.fakes.anthropic_model import error_envelope
from tests.fakes.bedrock_frames import Part, chunk_piece, error_piece, event_frame, exception_piece, spoiled

FIRST = chunk_piece({"type": "message_start", "message": {}}, number=1).data
DELTA = chunk_piece({"type": "content_block_delta", "delta": {"text": "Gr\u00fc\u00dfe"}}, number=2)
LAST = chunk_piece({"type": "message_stop"}, number=3).data
WHOLE = FIRST + DELTA.data + LAST


def test_a_whole_stream_passes() -> None:
    messages = GoodMessages()
    assert messages.feed(WHOLE) == WHOLE
    assert (messages.failure, messages.is_cut) == (None, False)


@pytest.mark.parametrize("seed", range(20))
def test_wherever_it_is_cut(seed: int) -> None:
    rng, messages, at, good = random.Random(seed), GoodMessages(), 0, b""
    while at < len(WHOLE):
        size = rng.choice((1, 2, 7, 60, 400))
        good += messages.feed(WHOLE[at : at + size])
        at += size
    assert good == WHOLE
    assert messages.failure is None


def test_what_it_does_not_know_is_left_out() -> None:
    assert GoodMessages().feed(FIRST + event_frame("news", b"{}") + LAST) == FIRST + LAST


def test_the_middle_of_a_message_is_no_end() -> None:
    messages = GoodMessages()
    assert messages.feed(WHOLE[:-1]) == FIRST + DELTA.data
    assert messages.is_cut


@pytest.mark.parametrize(
    ("last", "failure"),
    [
        (exception_piece("throttlingException", {"message": "m"}), BedrockFailure("throttlingException", 502, "m")),
        (error_piece("internalFailure", "m"), BedrockFailure("internalFailure", 502, "m")),
        (chunk_piece(error_envelope("overloaded_error", "m", request_id="r"), number=4), BedrockFailure("", 529, "m")),
    ],
)
def test_a_failure_ends_it(last: object, failure: BedrockFailure) -> None:
    messages = GoodMessages()
    assert messages.feed(FIRST + last.data + LAST) == FIRST  # type: ignore[attr-defined]
    assert messages.failure == failure


@pytest.mark.parametrize("part", ["prelude", "length", "payload", "message"])
def test_a_spoiled_message_ends_it(part: Part) -> None:
    messages = GoodMessages()
    assert messages.feed(FIRST + spoiled(DELTA, part).data + LAST) == FIRST
    assert messages.failure == BROKEN
