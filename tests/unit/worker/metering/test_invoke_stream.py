"""The usage of AWS's event stream, however it is cut."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gatewayd.ledger.usage import counted
from claude_gatewayd.worker.metering.invoke_stream import InvokeStreamReader
from tests.fakes.bedrock_frames import event_frame, exception_piece
from tests.support import metered_streams as streams
from tests.support.cuts import cut_anywhere
from tests.support.effort import effort
from tests.support.invoke_streams import END, START, STOP, TEXT, framed

USAGE = {"input_tokens": 5, "output_tokens": 70}


def read(*pieces: bytes) -> Any:
    reader = InvokeStreamReader()
    for piece in pieces:
        reader.see(memoryview(piece))
    return reader.read()


@given(st.data())
def test_any_stream_in_any_pieces(data: st.DataObject) -> None:
    _, said = data.draw(streams.streams())
    stream = framed(*said) + data.draw(st.sampled_from([b"", framed(END)[:-1]]))
    usage, expected = read(*data.draw(cut_anywhere(stream))).usage, streams.found(said)
    assert (usage is None) == (expected is None)
    assert counted(usage or {}) == counted(expected or {})


@given(st.binary(max_size=100), st.integers(0, 800))
def test_bytes_that_are_no_event_stream(noise: bytes, at: int) -> None:
    stream = framed(START, TEXT, END, STOP)
    read(stream[:at] + noise, stream[at:])


def test_a_message_with_other_events_in_between() -> None:
    found = read(
        event_frame("initial-response", b"{}") + framed(START, TEXT),
        event_frame("of-tomorrow", b"\xff"),
        framed(END, STOP),
    )
    assert (found.id, found.model, found.usage) == ("msg_bdrk_1", "claude-opus-5-5", USAGE)


@pytest.mark.parametrize("piece", [1000, 65536, 100_000_000])
def test_an_event_of_any_size(piece: int) -> None:
    block = {"type": "content_block_start", "content_block": {"text": "x" * 3_000_000}}
    stream = framed(START, block, END)
    assert read(*(stream[at : at + piece] for at in range(0, len(stream), piece))).usage == USAGE


def test_another_model_has_but_bedrocks_metrics() -> None:
    last = {"outputText": "x", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3, "outputTokenCount": 4}}
    found = read(framed({"outputText": "x"}, last)).usage
    assert (found["input_tokens"], found["output_tokens"]) == (3, 4)


def test_an_exception_ends_it_with_what_there_was() -> None:
    thrown = exception_piece("throttlingException", {"message": "slow down"}).data
    assert read(framed(START), thrown).usage == {"input_tokens": 5}


def test_nearly_all_messages_are_not_decoded() -> None:
    text = framed(TEXT)
    with effort() as found:
        read(framed(START), *([text] * 10_000), framed(END))
    assert found.amount < 2.5, "2.5 µs a message; 1 where this was written"
