"""The kinds of requests that the soak is made of, and what may come of each."""

import json
from typing import Final, Literal, NamedTuple

# When a client goes away: once it has the beginning of its answer, or in the middle of its own request.
Abort = Literal["", "answer", "upload"]

CALLERS: Final = 20  # credentials
_SESSIONS: Final = 50
_MODEL: Final = "claude-sonnet-4-5"
_KIB: Final = 1024


class Kind(NamedTuple):
    """One kind: *share* of a thousand requests; *how* is for the upstream, *good* the statuses that may come of it."""

    name: str
    share: int
    good: tuple[int, ...] = (200,)
    how: str = ""
    model: str = _MODEL
    path: str = "/v1/messages?beta=true"
    kib: int = 2
    stream: bool = False
    abort: Abort = ""
    lines: tuple[str, ...] = ()
    is_get: bool = False
    is_last: bool = False  # of its connection
    needs_key: bool = False
    has_row: bool = True  # in the ledger


KINDS: Final = (
    Kind("message", 560),
    Kind("message on a connection of its own", 50, lines=("connection: close",), is_last=True),
    Kind("stream", 180, how="stream", stream=True),
    Kind("stream that the client gives up", 30, how="stream", stream=True, abort="answer"),
    Kind("stream that breaks off", 5, how="cut", stream=True),
    Kind("upload of 1 MiB", 15, kib=_KIB),
    Kind("upload that the client gives up", 10, kib=_KIB, abort="upload"),
    Kind("count of tokens", 20, path="/v1/messages/count_tokens?beta=true"),
    Kind("list of models", 10, path="/v1/models?limit=1000", is_get=True),
    Kind("refused by Anthropic", 20, (401,), how="401"),
    Kind("no such model", 10, (404,), how="404", model="claude-none-1"),
    Kind("bad request", 10, (400,), how="400"),
    Kind("limit reached: fallback", 10, how="429", model="claude-opus-4-8", needs_key=True),
    Kind("overloaded: fallback", 10, how="529", model="claude-opus-4-6", needs_key=True),
    Kind("overloaded: fallback of a stream", 10, how="529", model="claude-opus-4-6", stream=True, needs_key=True),
    Kind("at Bedrock by its name", 5, model="claude-opus-4-8-bedrock", needs_key=True),
    Kind("a web page's", 10, (403,), lines=("origin: https://example.com",)),
    Kind("of a foreign host", 10, (421,), lines=("host: example.com",)),
    Kind("malformed", 10, (400,), lines=("content-length: 3, 4",), is_last=True),
    Kind("not found", 5, (404,), how="404", path="/v1/nothing"),
    Kind("metrics", 5, path="/metrics", is_get=True, needs_key=True, has_row=False),
    Kind("hook", 5, path="/api/hello", is_get=True),
)


def body_of(kind: Kind) -> bytes:
    """Return a body of a kind."""
    document = {
        "model": kind.model,
        "max_tokens": 1024,
        "messages": [{"role": "user", "content": "lorem ipsum dolor sit amet " * (kind.kib * 38)}],
        "stream": kind.stream,
    }
    return json.dumps(document).encode()


NAMES: Final = {f"{place:02}": kind.name for place, kind in enumerate(KINDS)}  # by the beginnings of marks
_PLACES: Final = {name: place for place, name in NAMES.items()}


def mark_of(kind: Kind, number: int) -> str:
    """Return the agent id of request *number*: by it the request is found again in the ledger."""
    return f"{_PLACES[kind.name]}{number:09}"


def head_of(kind: Kind, number: int, port: int, key: str, length: int) -> bytes:
    """Return the head of request *number*; *length* is its body's."""
    lines = [
        f"{'GET' if kind.is_get else 'POST'} {kind.path} HTTP/1.1",
        *(() if any(line.startswith("host:") for line in kind.lines) else (f"host: 127.0.0.1:{port}",)),
        "accept: application/json",
        "anthropic-beta: claude-code-20250219,oauth-2025-04-20",
        "anthropic-version: 2023-06-01",
        f"authorization: Bearer sk-ant-oat01-SOAK-{number % CALLERS:04}-invented",
        "content-type: application/json",
        "user-agent: claude-cli/2.1.332 (external, cli)",
        f"x-claude-code-session-id: 00000000-0000-4000-8000-{number % _SESSIONS:012}",
        f"x-claude-code-agent-id: {mark_of(kind, number)}",
        *((f"x-soak: {kind.how}",) if kind.how else ()),
        *((f"x-gateway-key: {key}",) if kind.needs_key else ()),
        *kind.lines,
        *(() if kind.is_get or kind.name == "malformed" else (f"content-length: {length}",)),
    ]
    return "\r\n".join([*lines, "", ""]).encode()
