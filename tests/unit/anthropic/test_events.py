"""Where a stream of events stands: between two events, at its end, or neither."""

import json
import zlib

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_gatewayd.anthropic.events import FirstEventFinder, PingFilter, StreamWatch, with_sentence
from claude_gatewayd.http1.content_coding import decoder
from tests.support.effort import effort

FUZZ = settings(max_examples=300, deadline=None)

START = b'event: message_start\ndata: {"type":"message_start"}\n\n'
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
DELTA = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"\\nevent: message_stop"}}\n\n'
)
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
ERROR = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'


def seen(*pieces: bytes) -> StreamWatch:
    watch = StreamWatch()
    for piece in pieces:
        watch.see(piece)
    return watch


@pytest.mark.parametrize(
    ("stream", "between", "complete"),
    [
        (b"", True, False),
        (START, True, False),
        (START + PING, True, False),
        (START + DELTA, True, False),
        (START + DELTA + STOP, True, True),
        (STOP, True, True),
        (ERROR, True, True),
        (START + ERROR, True, True),
        (START + STOP.replace(b": ", b":"), True, True),
        (START.replace(b"\n", b"\r\n"), True, False),
        ((START + STOP).replace(b"\n", b"\r\n"), True, True),
        (START + STOP + PING, True, True),
        (START.replace(b"\n", b"\r"), True, False),
        ((START + STOP).replace(b"\n", b"\r"), True, True),
        ((START + STOP[:-1]).replace(b"\n", b"\r\n"), False, False),
        ((START + STOP).replace(b"\n", b"\r\n")[:-2], False, False),
        (START[:-1], False, False),
        (START[:10], False, False),
        (START + b"event: message_st", False, False),
        # the client acts on an event only when the empty line behind it has come
        (START + b"event: message_stop\n", False, False),
        (START + STOP[:-8], False, False),
        (START + STOP[:-1], False, False),
        (START + ERROR[:-1], False, False),
        (START + b"event: message_start_not\ndata: {}\n\n", True, False),
        (START + b"data: event: message_stop\n\n", True, False),
    ],
)
def test_where_a_stream_stands(stream: bytes, between: bool, complete: bool) -> None:
    for watch in (seen(stream), seen(*[stream[at : at + 1] for at in range(len(stream))])):
        assert (watch.between_events, watch.complete) == (between, complete)


@FUZZ
@given(st.lists(st.sampled_from([START, PING, DELTA, b": a comment\n\n"]), max_size=8), st.booleans(), st.data())
def test_cuts_change_nothing(events: list[bytes], ends: bool, data: st.DataObject) -> None:
    stream = b"".join(events) + (STOP if ends else b"")
    stream = stream[: data.draw(st.integers(0, len(stream)))]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    watch = seen(*pieces)
    assert watch.complete == stream.endswith(STOP)
    assert watch.between_events == (not stream or stream.endswith(b"\n\n"))


@pytest.mark.parametrize("size", [400, 511, 512, 513, 2000])
def test_a_long_stream_before_the_end(size: int) -> None:
    filler = b"data: " + b"x" * size + b"\n\n"
    assert seen(filler + STOP).complete
    assert seen(filler, STOP).complete
    assert seen(filler + STOP[:5], STOP[5:]).complete


@pytest.mark.parametrize("wbits", [31, 15], ids=["gzip", "deflate"])
def test_a_compressed_stream_is_looked_at_in_a_copy(wbits: int) -> None:
    start, stop = b"event: message_start\ndata: {}\n\n", b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    for events, incomplete in ((start, True), (start + stop, False)):
        squeeze = zlib.compressobj(wbits=wbits)
        data = squeeze.compress(events) + squeeze.flush()
        watch = StreamWatch(decoder(b"gzip" if wbits == 31 else b"deflate"))
        for at in range(len(data)):
            watch.see(data[at : at + 1])
        assert watch.incomplete is incomplete
        assert not watch.between_events


def test_of_what_cannot_be_decoded_nothing_is_said() -> None:
    watch = StreamWatch(decoder(b"gzip"))
    watch.see(b"no gzip")
    assert not watch.incomplete
    assert not watch.complete


def test_a_cut_stream_is_incomplete_though_its_last_piece_is_empty() -> None:
    """The end of a chunked body has none: zstd's decoder took it amiss, and a blind watch says nothing."""
    for data in (zstandard.compress(START), zstandard.compress(START) + zstandard.compress(DELTA)):
        watch = StreamWatch(decoder(b"zstd"))
        watch.see(data)
        watch.see(b"")
        assert watch.incomplete


# what a stream begins with

DEEP = b"[" * 30_000


@pytest.mark.parametrize(
    ("stream", "verdict", "error"),
    [
        (b"", "waiting", ""),
        (PING, "waiting", ""),
        (b": a comment\n\n", "waiting", ""),
        (b"event: message_st", "waiting", ""),
        (b"event: message_start\n", "content", ""),
        (PING + b": c\n\n" + START, "content", ""),
        (ERROR, "error", "overloaded_error"),
        (PING + PING + ERROR, "error", "overloaded_error"),
        (ERROR.replace(b"\n", b"\r\n"), "error", "overloaded_error"),
        (ERROR.replace(b"\n", b"\r"), "error", "overloaded_error"),
        (PING.replace(b"\n", b"\r") + START.replace(b"\n", b"\r"), "content", ""),
        (ERROR[:-2], "waiting", ""),
        (b"event: error\ndata: " + DEEP + b"\n\n", "content", ""),
        (b'data: {"type":"error","error":' + DEEP + b"\n\n", "content", ""),
        (ERROR.partition(b"\n")[2], "error", "overloaded_error"),
        (b'data: {"type":"message_start"}\n\n', "content", ""),
        (b'data: {"type":"ping"}\n\n', "waiting", ""),
        (b"event: error\ndata: no json\n\n", "content", ""),
        (b'event: error\ndata: {"type":"error"}\n\n', "error", "api_error"),
        (b'event: engine_error\ndata: {"kind":"x","status":429,"message":"m"}\n\n', "error", "api_error"),
        (START + ERROR, "content", ""),
        (b"data: " + b"x" * 300_000, "content", ""),
    ],
)
def test_the_first_event(stream: bytes, verdict: str, error: str) -> None:
    whole, in_bytes = FirstEventFinder(), FirstEventFinder()
    found = whole.feed(stream)
    assert (found.verdict, found.error) == (verdict, error)
    last = found
    for at in range(len(stream) if len(stream) < 1000 else 0):
        last = in_bytes.feed(stream[at : at + 1])
        if last.verdict != "waiting":
            break
    assert (last.verdict, last.error) == (verdict, error)


def test_of_pings_without_end_no_more_is_looked_at_than_takes_no_time() -> None:
    """They are the best of bombs: each piece of a few bytes may become thousands, and all are parsed."""
    looked = FirstEventFinder()
    pings = PING * 100_000
    with effort() as spent:
        assert looked.feed(pings).verdict == "content"
    assert spent.amount < 20
    looked = FirstEventFinder()
    verdicts = [looked.feed(PING).verdict for _ in range(2000)]
    assert (verdicts[0], verdicts[-1]) == ("waiting", "content")


def test_a_long_first_event_is_looked_at_once() -> None:
    looked = FirstEventFinder()
    with effort() as spent:
        assert {looked.feed(b"x").verdict for _ in range(30_000)} == {"waiting"}
    assert spent.amount < 100


@pytest.mark.parametrize("before", [b"", PING, b": a comment\n\n", PING.replace(b"\n", b"\r\n")])
def test_a_sentence_more_in_the_error_that_a_stream_begins_with(before: bytes) -> None:
    found = with_sentence(before + ERROR + PING, "Run: foo")
    assert found is not None
    assert found.startswith(before + b"event: error\ndata: ")
    assert found.endswith(b"\n\n" + PING)
    error = json.loads(found[len(before) :].split(b"\n")[1].removeprefix(b"data: "))["error"]
    assert error == {"type": "overloaded_error", "message": "Overloaded. Run: foo"}


@pytest.mark.parametrize(
    "stream",
    [b"", PING, START, START + ERROR, ERROR[:-1], b'event: error\ndata: {"type":"error","error":{}}\n\n',
     b"event: error\ndata: " + DEEP + b"\n\n", b'{"type":"error","error":{"message":"m"}}'],
)  # fmt: skip
def test_no_sentence_in_what_is_no_such_stream(stream: bytes) -> None:
    assert with_sentence(stream, "Run: foo") is None


# What is silence.

NOTHING_BUT = (
    PING,
    b"event: ping\r\ndata: {}\r\n\r\n",
    b"event:ping\ndata:{}\n\n",
    b'data: {"type": "ping"}\n\n',
    b": \n\n",
    b"\n",
)
SOMETHING = (
    START,
    DELTA,
    STOP,
    ERROR,
    b"data: {}\n\n",
    b"data: [DONE]\n\n",
    b'data: {"type":"ping","x":1}\n\n',
    b"event: pin\n\n",
)


@pytest.mark.parametrize("piece", NOTHING_BUT)
def test_pings_however_they_are_cut(piece: bytes) -> None:
    for size in range(1, len(piece) + 1):
        pings = PingFilter()
        assert all(pings.is_only_pings(piece[at : at + size]) for at in range(0, len(piece), size))
        assert pings.is_only_pings(b"")
        assert pings.is_only_pings(memoryview(piece + PING * 20))


@pytest.mark.parametrize("piece", SOMETHING)
def test_what_is_more_than_a_ping(piece: bytes) -> None:
    for before in (b"", PING, PING * 20):
        assert not PingFilter().is_only_pings(before + piece)
        assert not PingFilter().is_only_pings(memoryview(before + piece + PING))
        for size in range(1, len(piece)):
            pings = PingFilter()
            assert not all(
                pings.is_only_pings((before + piece)[at : at + size]) for at in range(0, len(before + piece), size)
            )


def test_a_comment_without_an_end_is_no_ping_for_ever() -> None:
    pings = PingFilter()
    assert not all(pings.is_only_pings(b":" + b"x" * 99) for _ in range(4))


@pytest.mark.parametrize("wbits", [31, 15])
def test_pings_in_a_coding(wbits: int) -> None:
    squeeze = zlib.compressobj(wbits=wbits)
    watch = StreamWatch(decoder(b"gzip" if wbits == 31 else b"deflate"))
    start, ping, delta = (squeeze.compress(piece) + squeeze.flush(zlib.Z_SYNC_FLUSH) for piece in (START, PING, DELTA))
    assert [watch.see(piece) for piece in (start, ping, delta)] == [False, True, False]


def test_what_cannot_be_decoded_is_no_ping() -> None:
    assert StreamWatch(decoder(b"gzip")).see(b"no gzip at all") is False


def test_a_chunk_of_content_costs_nothing_to_judge() -> None:
    pings, chunk = PingFilter(), DELTA * 500
    with effort() as spent:
        for _ in range(10_000):
            pings.is_only_pings(chunk)
    assert spent.amount < 50  # 1 measured: it is looked at only as far as it is pings
