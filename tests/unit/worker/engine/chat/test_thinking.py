"""What is kept of Claude's answers for the next turn, of whom, and how much of it."""

import json

import pytest

from claude_gatewayd.worker.engine.chat import thinking
from claude_gatewayd.worker.engine.chat.thinking import ThinkingRecorder, ThinkingStore
from tests.fakes.anthropic_model import ModelReply, whole_message
from tests.support.memory import kept_by

BLOCK = {"type": "thinking", "thinking": "hm, tool_use", "signature": "ab"}
REDACTED = {"type": "redacted_thinking", "data": "x"}


def event(**fields: object) -> bytes:
    return b"event: x\ndata: " + json.dumps(fields).encode() + b"\n\n"


STREAM = b"".join((
    event(type="content_block_start", index=0, content_block={"type": "thinking", "thinking": "", "signature": ""}),
    event(type="content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "hm, "}),
    event(type="content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "tool_use"}),
    event(type="content_block_delta", index=0, delta={"type": "signature_delta", "signature": "ab"}),
    event(type="content_block_start", index=1, content_block=REDACTED),
    event(type="content_block_start", index=2, content_block={"type": "text", "text": "thinking"}),
    event(type="content_block_start", index=3, content_block={"type": "tool_use", "id": "t1", "name": "get"}),
    event(type="content_block_start", index=4, content_block={"type": "tool_use", "id": "t2", "name": "get"}),
))  # fmt: skip


@pytest.mark.parametrize("size", [1, 7, 1000, 10_000])
def test_a_stream_however_it_is_cut(size: int) -> None:
    store = ThinkingStore()
    recorder = ThinkingRecorder(store, "me")
    for at in range(0, len(STREAM), size):
        recorder.feed(STREAM[at : at + size])
    for ids in (["t1"], ["t2"], ["t1", "t2"], ["other", "t2"]):
        assert store.of("me", ids) == [BLOCK, REDACTED]
    assert store.of("you", ["t1"]) is None
    assert store.of("me", ["t3"]) is None


def test_a_whole_answer() -> None:
    store = ThinkingStore()
    message = whole_message(ModelReply(("hi",), think=True, tool=("get", {})), {}, "t1")
    ThinkingRecorder(store, "me").whole(json.dumps(message).encode())
    found = store.of("me", ["t1"])
    assert found is not None
    assert found[0]["signature"]


@pytest.mark.parametrize("reply", [b"", b"[]", b"{", b'{"content": [1, {"type": "tool_use"}]}', b"data: [" * 10_000])
def test_what_is_no_answer(reply: bytes) -> None:
    store = ThinkingStore()
    recorder = ThinkingRecorder(store, "me")
    recorder.whole(reply)
    recorder.feed(b"data:" + reply + b"tool_use\n" + b'data: {"type":"content_block_delta","index":{},"thinking":1}\n')
    assert store.of("me", ["t1"]) is None


def test_no_more_is_kept_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thinking, "_MAX_TOTAL", 1000)
    store = ThinkingStore()
    for number in range(100):
        store.keep("me", [f"t{number}"], [BLOCK])
        store.keep("me", [f"t{number}"], [BLOCK])
    there = [number for number in range(100) if store.of("me", [f"t{number}"])]
    assert there == list(range(100 - len(there), 100))
    assert 1 < len(there) < 20
    monkeypatch.setattr(thinking, "_MAX_TURN", 10)
    store.keep("me", ["large"], [BLOCK])
    assert store.of("me", ["large"]) is None


def test_tiny_turns_take_no_more_memory_than_large_ones() -> None:
    def fill() -> ThinkingStore:
        store = ThinkingStore()
        for number in range(100_000):
            store.keep("me", [f"toolu_{number:024}"], [{"type": "thinking", "thinking": ""}])
        return store

    assert kept_by(fill) < 10
