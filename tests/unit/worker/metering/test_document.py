"""The usage of one JSON object, of any size and in any pieces."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gatewayd.ledger.usage import counted
from claude_gatewayd.worker.metering.document import DocumentReader
from tests.support.cuts import cut_anywhere
from tests.support.effort import effort
from tests.support.metered_streams import FOOLS, texts, usages

USAGE = {"input_tokens": 5, "output_tokens": 70}
MESSAGE = {"id": "msg_1", "type": "message", "model": "claude-opus-5-5", "content": [], "usage": USAGE}


def read(*pieces: bytes) -> Any:
    reader = DocumentReader()
    for piece in pieces:
        reader.see(memoryview(piece))
    return reader.read()


sizes = st.sampled_from([0, 0, 20_000, 100_000])


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a message as it may be answered, with its usage at the beginning, at the end, or not there."""
    blocks = [
        {"type": "text", "text": draw(texts) + "\\" * draw(st.integers(0, 3))},
        {"type": "tool_use", "input": {"usage": draw(usages()), draw(texts): {"usage": {"output_tokens": 999}}}},
        {"type": "text", "text": 'a "quoted" \\ text ' * (draw(sizes) // 18)},
    ]
    fields = {"id": "msg_1", "model": "claude", "content": blocks, "stop_reason": draw(texts), "container": {"id": "x"}}
    usage = draw(st.none() | usages())
    where = draw(st.sampled_from(["first", "last", "nowhere"]))
    return {
        **({"usage": usage} if where == "first" else {}),
        **fields,
        **({"usage": usage} if where == "last" else {}),
        **draw(st.sampled_from([{}, {"context_management": {"applied_edits": [{"usage": 1}]}}])),
    }


@given(st.data())
def test_any_message_in_any_pieces(data: st.DataObject) -> None:
    message = data.draw(messages())
    separators = data.draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " : ")]))
    body = json.dumps(message, separators=separators, ensure_ascii=data.draw(st.booleans())).encode()
    found = read(*data.draw(cut_anywhere(body)))
    assert found.usage == message.get("usage")
    if found.usage is not None:
        assert (found.id, found.model) == ("msg_1", "claude")
    reader = DocumentReader()
    for piece in data.draw(cut_anywhere(body)):
        reader.see(piece)
    if (plain := reader.read_plain()) is not None:
        assert (plain.usage.counts(), plain.id, plain.model) == (counted(found.usage), found.id, found.model)


@given(st.binary(max_size=300), st.integers(0, 100))
def test_bytes_that_are_no_json(noise: bytes, at: int) -> None:
    body = json.dumps(MESSAGE).encode()
    read(body[:at], noise, body[at:])
    read(b"x" * 70_000, body[:at], noise, body[at:])
    read(b"{" * 70_000, noise, b'"usage":' * 9000)


@pytest.mark.parametrize("fool", FOOLS)
@pytest.mark.parametrize("padding", [0, 200_000])
def test_a_model_that_writes_of_usage(fool: str, padding: int) -> None:
    text = fool + " " * padding + fool
    found = read(json.dumps({**MESSAGE, "content": [{"type": "text", "text": text}, {"usage": "usage"}]}).encode())
    assert found.usage == USAGE
    assert read(json.dumps({"id": "x", "content": [{"type": "text", "text": text}]}).encode()).usage is None


def test_an_embedding_of_many_megabytes_is_read_in_little_memory() -> None:
    numbers = b",".join(b"0.0123456789" for _ in range(100_000))
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    end = b'],"object":"list","usage":' + json.dumps(usage).encode() + b"}"
    reader = DocumentReader()
    tracemalloc.start()
    reader.see(b'{"model":"ada","data":[')
    for _ in range(20):
        reader.see(numbers)
        reader.see(b",")
    reader.see(b"0" + end)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < 256 * 1024
    found = reader.read()
    assert (found.model, found.usage) == ("ada", usage)


def test_a_cut_body_has_what_came() -> None:
    first = json.dumps({"model": "x", "usage": USAGE, "content": "y" * 200_000}).encode()
    assert read(first[:150_000]).usage == USAGE
    cut = read(json.dumps(MESSAGE).encode()[:-5])
    assert (cut.id, cut.model, cut.usage) == ("msg_1", "claude-opus-5-5", None)


@pytest.mark.parametrize("text", ['"\\ud800"', "1e400", "NaN"])
def test_what_is_hardly_json_costs_no_count(text: str) -> None:
    body = json.dumps({**MESSAGE, "content": 4711}).replace("4711", text).encode()
    assert read(body).usage == USAGE


def test_a_message_of_two_kilobytes_costs_next_to_nothing() -> None:
    body = json.dumps({**MESSAGE, "content": [{"type": "text", "text": "Some text. " * 170}]}).encode()
    with effort() as found:
        for _ in range(2000):
            reader = DocumentReader()
            reader.see(body)
            reader.read()
    assert found.amount < 1.5, "7.5 µs; 2 µs where this was written"


@pytest.mark.parametrize("key", ["usage", "x"])
def test_a_tool_that_is_all_usage_holds_nobody_up(key: str) -> None:
    tool = json.dumps({"input": [{key: {"usage": {}}}] * 20_000}).encode()
    with effort() as found:
        assert read(b'{"content":[' + tool + b"]}").usage is None
    assert found.amount < 2
