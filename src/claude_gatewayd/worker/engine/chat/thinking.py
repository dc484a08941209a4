"""What Claude thought before it called a tool, kept for the next turn: in OpenAI's format no client sends it back.

Anthropic wants a turn that goes on after a tool to begin as it did, with its thinking and the signature of it. So it is
kept by the ids of the tools that were called, for the caller whose turn it was.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

_MOST = 16 * 1024 * 1024  # bytes in all
_LONGEST = 1024 * 1024  # of one turn's
_KINDS = ("thinking", "redacted_thinking")


class ThinkingStore:
    """Keep the thinking of the last turns."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._size = 0

    def keep(self, caller: str, tools: Sequence[str], blocks: Sequence[Mapping[str, Any]]) -> None:
        """Keep what a turn began with that called these tools."""
        if not tools or not blocks:
            return
        text = json.dumps(blocks).encode()
        if len(text) > _LONGEST:
            return
        for tool in tools:
            self._size += len(text) - len(self._kept.pop((caller, tool), b""))
            self._kept[caller, tool] = text
        while self._size > _MOST:
            self._size -= len(self._kept.popitem(last=False)[1])

    def of(self, caller: str, tools: Sequence[str]) -> list[dict[str, Any]] | None:
        """Return what the turn began with that called these tools; None where that is not known."""
        for tool in tools:
            if (text := self._kept.get((caller, tool))) is not None:
                self._kept.move_to_end((caller, tool))
                blocks: list[dict[str, Any]] = json.loads(text)
                return blocks
        return None


class ThinkingRecorder:
    """Listen to one answer of Anthropic's, event by event or whole, for what is to be kept of it."""

    def __init__(self, thoughts: ThinkingStore, caller: str) -> None:
        self._thoughts = thoughts
        self._caller = caller
        self._rest = b""
        self._blocks: dict[int, dict[str, Any]] = {}
        self._tools: list[str] = []
        self._left = _LONGEST

    def feed(self, data: bytes) -> None:
        """Listen to the next bytes of a stream, decoded."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST:
            self._rest = b""
        for line in lines:
            if line.startswith(b"data:") and (b"thinking" in line or b"tool_use" in line or b"signature" in line):
                self._hear(_read(line[5:]))

    def whole(self, body: bytes) -> None:
        """Listen to an answer that is not streamed."""
        content = _read(body).get("content")
        if isinstance(content, list):
            for index, block in enumerate(content):
                self._begin(index, block)

    def _hear(self, event: Mapping[str, Any]) -> None:
        if event.get("type") == "content_block_start":
            self._begin(event.get("index"), event.get("content_block"))
        elif event.get("type") == "content_block_delta" and isinstance(delta := event.get("delta"), Mapping):
            block = self._blocks.get(event.get("index", -1))
            for key in ("thinking", "signature"):
                if block is not None and isinstance(more := delta.get(key), str) and self._left > 0:
                    self._left -= len(more)
                    block[key] = str(block.get(key) or "") + more

    def _begin(self, index: Any, block: Any) -> None:
        if not isinstance(block, Mapping) or not isinstance(index, int):
            return
        if block.get("type") in _KINDS:
            self._blocks[index] = dict(block)
        elif block.get("type") == "tool_use" and isinstance(block.get("id"), str):
            self._tools.append(block["id"])
            if self._left > 0:
                self._thoughts.keep(self._caller, self._tools, list(self._blocks.values()))


def _read(text: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
