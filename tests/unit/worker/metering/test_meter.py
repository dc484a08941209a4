"""Which reader an answer has, and what a request's answers come to."""

import json
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gatewayd.http1 import head
from claude_gatewayd.http1.head import ResponseHead
from claude_gatewayd.ledger.token_counts import TokenCounts
from claude_gatewayd.worker.metering.meter import Meter, Reading
from tests.support.cuts import cut_anywhere
from tests.support.metered_streams import BODY, CODINGS, END, MESSAGE, START, STOP, TEXT, WHOLE

COUNTS = TokenCounts(5, 70)
KINDS = {"text/event-stream; charset=utf-8": WHOLE, "application/json": BODY, "Application/JSON;charset=utf-8": BODY}


def answer(kind: str = "application/json", coding: str = "", status: int = 200) -> ResponseHead:
    return head.parse_response(
        f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Encoding: {coding}\r\n\r\n".encode()
    )


def metered(answer: ResponseHead, *pieces: bytes) -> Meter:
    meter = Meter()
    see = meter.reader_of(answer)
    assert see is not None
    for piece in pieces:
        see(piece)
    return meter


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("kind", KINDS)
@given(st.data())
def test_any_answer_in_any_coding_and_pieces(kind: str, coding: str, data: st.DataObject) -> None:
    squeezed = CODINGS[coding](KINDS[kind])
    meter = metered(answer(kind, coding), *data.draw(cut_anywhere(squeezed)))
    assert meter.read() == Reading(COUNTS, "claude-opus-5-5", "msg_1")


@pytest.mark.parametrize("coding", CODINGS)
@given(noise=st.binary(max_size=40), at=st.integers(0, 200))
def test_what_cannot_be_decoded_is_not_known(coding: str, noise: bytes, at: int) -> None:
    squeezed = CODINGS[coding](WHOLE)
    meter = metered(answer("text/event-stream", coding), squeezed[:at], noise, squeezed[at:])
    assert isinstance(meter.read().counts, TokenCounts | None)


def test_a_compressed_stream_that_was_broken_off_has_what_came() -> None:
    compressor = zlib.compressobj(wbits=31)
    came = compressor.compress(START + TEXT) + compressor.flush(zlib.Z_SYNC_FLUSH)
    meter = metered(answer("text/event-stream", "gzip"), came)
    assert meter.read().counts == TokenCounts(5, 1)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_large_compressed_answer_is_read_in_little_memory(coding: str) -> None:
    text = "".join(f"{number} " for number in range(500_000))
    squeezed = CODINGS[coding](json.dumps({"content": text, **MESSAGE}).encode())
    meter = Meter()
    see = meter.reader_of(answer(coding=coding))
    assert see is not None
    tracemalloc.start()
    for at in range(0, len(squeezed), 16_384):
        see(squeezed[at : at + 16_384])
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < 512 * 1024
    assert meter.read().counts == COUNTS


@pytest.mark.parametrize(
    "head",
    [
        answer(status=529),
        answer(status=204),
        answer("text/html"),
        answer("application/octet-stream"),
        answer("application/x-jsonl"),
        answer(coding="compress"),
        answer(coding="gzip, br"),
    ],
    ids=["529", "204", "html", "bytes", "lines of JSON", "compress", "two codings"],
)
def test_in_what_there_is_nothing_to_read(head: ResponseHead) -> None:
    meter = Meter()
    assert meter.reader_of(head) is None
    assert meter.read() == Reading()


def test_an_answer_that_names_no_tokens() -> None:
    meter = metered(answer(), b'{"input_tokens": 4711}')  # of count_tokens
    assert meter.read() == Reading()


def test_of_an_answer_within_another_the_inner_one_counts() -> None:
    meter = metered(answer("text/event-stream"), WHOLE)
    meter.see_whole(b'{"id":"chatcmpl-1","model":"own","usage":{"prompt_tokens":1}}')
    reading = meter.read()
    assert (reading.counts, reading.model) == (COUNTS, "claude-opus-5-5")


def test_an_answer_without_tokens_before_one_with_them() -> None:
    meter = metered(answer(), b'{"id":"x"}')
    see = meter.reader_of_events()
    see(START)
    see(END + STOP)
    assert meter.read() == Reading(COUNTS, "claude-opus-5-5", "msg_1")


def test_an_advisor() -> None:
    meter = Meter()
    said = {"type": "advisor_message", "model": "claude-opus-5-5", "input_tokens": 9, "output_tokens": 3}
    meter.see_whole(json.dumps({"usage": {"input_tokens": 1, "iterations": [said]}}).encode())
    assert meter.read().counts == TokenCounts(1)
    assert meter.read().advised == [("claude-opus-5-5", TokenCounts(9, 3))]


def test_a_name_that_is_none() -> None:
    meter = Meter()
    meter.see_whole(b'{"id": 7, "model": "a\\u0000b", "usage": {}}')
    assert meter.read() == Reading(TokenCounts())
