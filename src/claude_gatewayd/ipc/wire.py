"""JSON, one line each way: between ctl and daemon, and between supervisor and worker.

A request to the daemon is `{"command": "status"}`; its reply `{"result": ...}` or `{"error": {"code", "message",
"hint"}}`. Kept light: the ctl imports it.
"""

import json
from typing import Any

Message = dict[str, Any]

MAX_LINE = 256 * 1024


class NotAMessage(Exception):
    """A line that is not one JSON object."""


def encode(message: Message) -> bytes:
    """Return *message* as a line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Return the message of a line. Raises NotAMessage."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise NotAMessage(f"not JSON: {error}") from None
    if not isinstance(message, dict):
        raise NotAMessage("not a JSON object")
    return message


def error(code: str, message: str, hint: str = "") -> Message:
    """Return an error reply. *code* is for programs and does not change between versions."""
    return {"error": {"code": code, "message": message, "hint": hint}}


class LineBuffer:
    """Split a stream of bytes into lines. *rest* is the incomplete last one."""

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that *data* completes. Raises NotAMessage for one that is too long."""
        *lines, self.rest = (self.rest + data).split(b"\n")
        if any(len(line) > MAX_LINE for line in (*lines, self.rest)):
            raise NotAMessage("a line is too long")
        return lines
