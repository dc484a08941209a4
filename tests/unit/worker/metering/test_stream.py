"""The usage of a stream, however it is cut, held against a reader that parses every event."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gatewayd.anthropic.sse import data_of
from claude_gatewayd.ledger.token_counts import TokenCounts
from claude_gatewayd.ledger.usage import counted
from claude_gatewayd.worker.metering.stream import StreamReader
from tests.support import metered_streams as streams
from tests.support.cuts import cut_anywhere
from tests.support.effort import effort
from tests.support.metered_streams import END, START, STOP, TEXT, WHOLE, event


def read(*pieces: bytes) -> Any:
    reader = StreamReader()
    for piece in pieces:
        reader.see(memoryview(piece))
    return reader.read()


@given(st.data())
def test_any_stream_in_any_pieces(data: st.DataObject) -> None:
    stream, said = data.draw(streams.streams())
    usage, expected = read(*data.draw(cut_anywhere(stream))).usage, streams.found(said)
    assert (usage is None) == (expected is None)
    assert counted(usage or {}) == counted(expected or {})


few = st.sampled_from([0, 3, 4711])
plain_usages = st.fixed_dictionaries(
    {"input_tokens": few},
    optional={
        "output_tokens": few | st.none(),
        "cache_read_input_tokens": few,
        "cache_creation_input_tokens": few | st.none(),
        "cache_creation": st.fixed_dictionaries({"ephemeral_5m_input_tokens": few}) | st.just({}),
        "server_tool_use": st.fixed_dictionaries({"web_search_requests": few}) | st.just({}) | st.none(),
        "service_tier": st.sampled_from(["standard", "", None, "x" * 40]),
        "iterations": st.sampled_from([None, [], [{"type": "message"}]]),
    },
)


@given(plain_usages, st.sampled_from([plain_usages, streams.usages()]).flatmap(lambda usages: usages), st.data())
def test_the_usual_two_events_come_to_the_same(
    first: dict[str, Any], last: dict[str, Any], data: st.DataObject
) -> None:
    message = {"id": data.draw(st.sampled_from(["msg_1", "", 4])), "model": "claude", "usage": first}
    delta = event("message_delta", id="another", usage=last)
    stream = data.draw(st.sampled_from([b"", START])) + event("message_start", message=message) + TEXT + delta + STOP
    usual, general = StreamReader(), StreamReader()
    for piece in data.draw(cut_anywhere(stream)):
        usual.see(piece)
        general.see(piece)
    plain, found = usual.read_plain(), general.read()
    if plain is not None:
        assert (plain.usage.counts(), plain.id, plain.model) == (counted(found.usage or {}), found.id, found.model)


@given(st.data())
def test_what_is_read_as_usual_is_what_any_stream_comes_to(data: st.DataObject) -> None:
    stream, said = data.draw(streams.streams())
    reader = StreamReader()
    reader.see(stream)
    plain = reader.read_plain()
    assert plain is None or plain.usage.counts() == counted(streams.found(said) or {})


@pytest.mark.parametrize("piece", [1, 50, 100_000])
def test_what_anthropic_sends_is_usual(piece: int) -> None:
    reader = StreamReader()
    for at in range(0, len(WHOLE), piece):
        reader.see(WHOLE[at : at + piece])
    plain = reader.read_plain()
    assert plain is not None
    assert (plain.usage.counts(), plain.id, plain.model) == (TokenCounts(5, 70), "msg_1", "claude-opus-5-5")


@given(st.binary(max_size=300), st.integers(0, len(WHOLE)))
def test_bytes_that_are_no_stream(noise: bytes, at: int) -> None:
    read(WHOLE[:at] + noise, WHOLE[at:])


def test_a_message() -> None:
    found = read(WHOLE)
    assert (found.id, found.model) == ("msg_1", "claude-opus-5-5")
    assert found.usage == {"input_tokens": 5, "output_tokens": 70}


@pytest.mark.parametrize("end", [0, 10, len(START), len(START + TEXT) + 9, len(WHOLE) - len(STOP) - 1])
def test_a_stream_that_was_broken_off(end: int) -> None:
    found = read(WHOLE[:end])
    assert found.usage == ({"input_tokens": 5, "output_tokens": 1} if end >= len(START) else None)


def test_several_message_deltas_and_what_follows_the_last() -> None:
    first, last = event("message_delta", usage={"output_tokens": 7}), event("message_delta", usage={"output_tokens": 9})
    assert read(START, first, TEXT * 100, last, TEXT * 100, STOP).usage == {"input_tokens": 5, "output_tokens": 9}


@pytest.mark.parametrize("size", [1000, 100_000])
@pytest.mark.parametrize("piece", [77, 8192, 10_000_000])
def test_an_event_of_any_size(size: int, piece: int) -> None:
    block = event("content_block_start", content_block={"type": "web", "results": ['"usage" \\ {' * size]})
    stream = START + block + TEXT + END + STOP
    pieces = [stream[at : at + piece] for at in range(0, len(stream), piece)]
    assert read(*pieces).usage == {"input_tokens": 5, "output_tokens": 70}


def test_nothing_is_kept_of_an_event_without_end() -> None:
    reader = StreamReader()
    for _ in range(300):
        reader.see(b"x" * 65536)
        assert len(reader._rest) + reader._size <= 1024 * 1024 + 2 * 65536
    reader.see(b"\n\n" + WHOLE)
    assert reader.read().usage == {"input_tokens": 5, "output_tokens": 70}


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_the_end_of_one_that_is_too_long_may_be_cut(end: bytes, at: int) -> None:
    eol = end[: len(end) // 2]
    assert read(b"x" * 2_000_000, end[:at], end[at:], WHOLE.replace(b"\n", eol)).usage == {
        "input_tokens": 5,
        "output_tokens": 70,
    }


def chunk(**more: object) -> bytes:
    said = {"id": "c1", "object": "chat.completion.chunk", "model": "gpt", "choices": [{"delta": {"content": "x"}}]}
    return b"data: " + json.dumps({**said, **more}).encode() + b"\n\n"


def test_openais_chunks() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 2}
    done = b"data: [DONE]\n\n"
    found = read(chunk(), chunk(usage=None), chunk(usage=usage), done)
    assert (found.id, found.model, found.usage) == ("c1", "gpt", usage)
    assert read(chunk(), chunk(usage=None), done).usage is None


def test_openais_responses() -> None:
    usage = {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 1}, "output_tokens": 4}
    response = {"id": "resp_1", "model": "gpt", "output": [{"usage": {"output_tokens": 999}}], "usage": usage}
    found = read(
        event("response.created", response={"id": "resp_1", "usage": None}),
        event("response.output_text.delta", delta='"usage":{"output_tokens":999}'),
        event("response.completed", response=response),
    )
    assert (found.id, found.model, found.usage) == ("resp_1", "gpt", usage)


def test_bedrocks_metrics_count_where_nothing_else_does() -> None:
    metrics = {
        "inputTokenCount": 3,
        "outputTokenCount": 4,
        "cacheReadInputTokenCount": 5,
        "cacheWriteInputTokenCount": 6,
        "invocationLatency": 7,
    }
    last = json.dumps({"type": "message_stop", "amazon-bedrock-invocationMetrics": metrics}).encode()
    reader = StreamReader()
    reader.see_data(last)
    assert counted(reader.read().usage) == TokenCounts(3, 4, 5, 6)
    reader = StreamReader()
    for document in (START, END):
        reader.see_data(data_of(document))
    reader.see_data(last)
    assert reader.read().usage == {"input_tokens": 5, "output_tokens": 70}


@pytest.mark.parametrize("value", ["1e400", "-1e400", "1E5", "123456789012345678901234567890", "NaN", '"\\ud800"'])
def test_a_number_that_is_none_costs_no_other(value: str) -> None:
    for field in ("x", "cache_read_input_tokens"):
        spoiled = END.replace(b'"output_tokens":70', f'"{field}":{value},"output_tokens":70'.encode())
        counts = counted(read(START + spoiled + STOP).usage)
        assert (counts.input, counts.output, counts.cache_read) == (5, 70, 0)


def test_data_of_several_lines() -> None:
    pretty = json.dumps({"type": "message_delta", "usage": {"output_tokens": 70}}, indent=1).replace("{", "\n{")
    lines = "".join(f"data: {line}\n" for line in pretty.split("\n"))
    assert read(START, f"event: message_delta\n{lines}\n".encode()).usage == {"input_tokens": 5, "output_tokens": 70}


def test_a_deep_event() -> None:
    deep = b'event: message_delta\ndata: {"type":"message_delta","x":' + b"[" * 100_000 + b',"usage":{}}\n\n'
    assert read(START, deep, END).usage == {"input_tokens": 5, "output_tokens": 70}


def test_a_piece_of_a_stream_costs_next_to_nothing() -> None:
    reader = StreamReader()
    with effort() as found:
        for _ in range(10_000):
            reader.see(TEXT)
    assert found.amount < 0.6, "a yardstick is 10 ms: 0.6 µs a piece"
    assert len(reader._rest) + reader._size <= 8192


def test_a_usual_stream_costs_next_to_nothing() -> None:
    with effort() as found:
        for _ in range(1000):
            reader = StreamReader()
            reader.see(WHOLE)
            reader.read_plain()
    assert found.amount < 1.5, "15 µs; 6 µs where this was written"
