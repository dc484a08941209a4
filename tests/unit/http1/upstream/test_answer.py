"""An answer as it is read, without a connection: its phases, and where its body goes. Cut anywhere: test_connection."""

import asyncio

import pytest

from claude_gatewayd.http1.deadline import Deadline, Silence
from claude_gatewayd.http1.flow import Bytes, Source
from claude_gatewayd.http1.head import Malformed
from claude_gatewayd.http1.upstream.answer import AnswerReader, Phase

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"


class Into:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.source: Source | None = None
        self.got = b""

    def write(self, data: Bytes) -> None:
        self.got += data


@pytest.fixture
def reader() -> AnswerReader:
    loop = asyncio.new_event_loop()
    loop.close()  # no timer is set: only a deadline's clock is read
    found = AnswerReader(Silence(loop, Deadline(loop, lambda: None)))
    found.expect(without_body=False, interim=None)
    return found


def test_the_phases(reader: AnswerReader) -> None:
    phases = [reader.phase]
    assert reader.feed_head(HEAD[:9]) is None
    phases.append(reader.phase)
    assert reader.feed_head(HEAD[9:] + b"ab") == b"ab"
    phases.append(reader.phase)
    assert reader.feed_body(b"ab") == 2
    assert not reader.body_done
    assert reader.feed_body(b"cd and more") == 2
    assert reader.body_done
    reader.stop()
    phases.append(reader.phase)
    assert phases == [Phase.HEAD, Phase.HEAD, Phase.BODY, Phase.IDLE]


def test_what_is_held_goes_to_the_sink_once(reader: AnswerReader) -> None:
    reader.feed_head(HEAD)
    reader.feed_body(b"abcd")
    sinks = Into(), Into()
    for sink in sinks:
        reader.pipe_to(sink, raw=False, watch=None)
    assert [sink.got for sink in sinks] == [b"abcd", b""]


def test_a_look_at_what_is_held(reader: AnswerReader) -> None:
    seen: list[bytes] = []

    def look(payload: Bytes) -> bool:
        seen.append(bytes(payload))
        return b"c" in bytes(payload)

    reader.feed_head(HEAD)
    reader.feed_body(b"ab")
    assert not reader.has_seen(look)
    enough: list[bool] = []
    reader.look(look, lambda: enough.append(True))
    reader.feed_body(b"c")
    reader.feed_body(b"d")
    assert seen == [b"ab", b"c"]
    assert enough == [True]


def test_interim_answers_have_an_end(reader: AnswerReader) -> None:
    with pytest.raises(Malformed):
        reader.feed_head(b"HTTP/1.1 103 Early\r\n\r\n" * 200)


@pytest.mark.parametrize(("lines", "ends"), [(b"", True), (b"Content-Length: 4\r\n", False)])
def test_the_end_of_the_connection(reader: AnswerReader, lines: bytes, ends: bool) -> None:
    reader.feed_head(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n")
    assert reader.end_with_connection() is ends
    assert reader.body_done is ends
