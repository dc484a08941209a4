"""Claude's thinking before a tool call, kept for the next request: OpenAI's format has no place to send it back.

Anthropic requires that a turn which continues after a tool begins with its thinking, and the signature of it. So that
is kept, by the ids of the tool calls, for the caller whose turn it was.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

_MAX_TOTAL = 8 * 1024 * 1024  # bytes in all
_ENTRY = 400  # bytes that an entry takes besides its text and the id of its tool call
_MAX_TURN = 1024 * 1024  # of one turn's
_KINDS = ("thinking", "redacted_thinking")


class ThinkingStore:
    """The thinking of the latest turns, bounded in size."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._size = 0

    def keep(self, caller: str, tools: Sequence[str], blocks: Sequence[Mapping[str, Any]]) -> None:
        """Keep the thinking of the turn with these tool calls."""
        if not tools or not blocks:
            return
        text = json.dumps(blocks).encode()
        if len(text) > _MAX_TURN:
            return
        for tool in tools:
            if (before := self._kept.pop((caller, tool), None)) is not None:
                self._size -= _size(tool, before)
            self._kept[caller, tool] = text
            self._size += _size(tool, text)
        while self._size > _MAX_TOTAL:
            (_, tool), dropped = self._kept.popitem(last=False)
            self._size -= _size(tool, dropped)

    def of(self, caller: str, tools: Sequence[str]) -> list[dict[str, Any]] | None:
        """Return the thinking of the turn with these tool calls, None if it is unknown."""
        for tool in tools:
            if (text := self._kept.get((caller, tool))) is not None:
                self._kept.move_to_end((caller, tool))
                blocks: list[dict[str, Any]] = json.loads(text)
                return blocks
        return None


class ThinkingRecorder:
    """Record the thinking of one answer of Anthropic's, streamed or whole."""

    def __init__(self, store: ThinkingStore, caller: str) -> None:
        self._store = store
        self._caller = caller
        self._rest = b""
        self._blocks: dict[int, dict[str, Any]] = {}
        self._tools: list[str] = []
        self._left = _MAX_TURN

    def feed(self, data: bytes) -> None:
        """Take the next bytes of a stream, decoded."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _MAX_TURN:
            self._rest = b""
        for line in lines:
            if line.startswith(b"data:") and (b"thinking" in line or b"tool_use" in line or b"signature" in line):
                self._take_event(_read(line[5:]))

    def whole(self, body: bytes) -> None:
        """Take an answer that is not streamed."""
        content = _read(body).get("content")
        if isinstance(content, list):
            for index, block in enumerate(content):
                self._start_block(index, block)

    def _take_event(self, event: Mapping[str, Any]) -> None:
        if event.get("type") == "content_block_start":
            self._start_block(event.get("index"), event.get("content_block"))
        elif event.get("type") == "content_block_delta" and isinstance(delta := event.get("delta"), Mapping):
            block = self._blocks.get(event.get("index", -1))
            for key in ("thinking", "signature"):
                if block is not None and isinstance(more := delta.get(key), str) and self._left > 0:
                    self._left -= len(more)
                    block[key] = str(block.get(key) or "") + more

    def _start_block(self, index: Any, block: Any) -> None:
        if not isinstance(block, Mapping) or not isinstance(index, int):
            return
        if block.get("type") in _KINDS:
            self._blocks[index] = dict(block)
        elif block.get("type") == "tool_use" and isinstance(block.get("id"), str):
            self._tools.append(block["id"])
            if self._left > 0:
                self._store.keep(self._caller, self._tools, list(self._blocks.values()))


def _size(tool: str, text: bytes) -> int:
    return _ENTRY + len(tool) + len(text)


def _read(text: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
