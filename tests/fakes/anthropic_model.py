"""What the fake Anthropic says: endpoints, a scripted model, Server-Sent Events, error envelopes."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from tests.fakes.anthropic_http import Head, Headers

BODY_LIMIT: Final = 32 * 1024 * 1024
RESET_AT: Final = 1900000000  # 2030: a client compares it with its clock
MODELS: Final = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-4-8")

ERROR_TYPES: Final[Mapping[int, str]] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    411: "invalid_request_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
ERROR_MESSAGES: Final[Mapping[int, str]] = {
    401: "invalid bearer token",
    413: "Request exceeds the maximum size",
    429: "This request would exceed your account's rate limit. Please try again later.",
    500: "Internal server error",
    529: "Overloaded",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a body that is sent on its own: an SSE event has its event's name."""

    data: bytes
    name: str = "body"
    pause: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer before it is put on the wire: framing and compression come later."""

    status: int
    headers: Headers
    pieces: tuple[Piece, ...] = ()
    streamed: bool = False

    def with_headers(self, headers: Headers) -> "Answer":
        """Return this answer with headers added, replacing those of the same name."""
        names = {name.lower() for name, _ in headers}
        return replace(self, headers=(*(h for h in self.headers if h[0].lower() not in names), *headers))


class Ids:
    """Identifiers that are the same in every run."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}

    def __call__(self, prefix: str) -> str:
        """Return the next identifier of a kind."""
        number = self._next[prefix] = self._next.get(prefix, 0) + 1
        return f"{prefix}_01Fake{number:018d}"


# Headers.


def common_headers(request_id: str, credential: str, status: int) -> Headers:
    """Return the headers that every answer of Anthropic has; limits only if it served."""
    limits: Headers = ()
    if status >= 300:
        pass
    elif credential.startswith("sk-ant-api"):
        limits = (
            (b"anthropic-ratelimit-requests-limit", b"4000"),
            (b"anthropic-ratelimit-requests-remaining", b"3999"),
            (b"anthropic-ratelimit-requests-reset", b"2030-03-17T17:46:40Z"),
            (b"anthropic-ratelimit-tokens-limit", b"400000"),
            (b"anthropic-ratelimit-tokens-remaining", b"399000"),
            (b"anthropic-ratelimit-tokens-reset", b"2030-03-17T17:46:40Z"),
        )
    else:
        limits = unified_limits("allowed")
    organization = (b"anthropic-organization-id", b"00000000-0000-4000-8000-00000000f4ce")
    return (
        (b"Date", b"Sun, 22 Nov 2026 20:00:00 GMT"),
        (b"Connection", b"keep-alive"),
        *limits,
        (b"request-id", request_id.encode()),
        (b"strict-transport-security", b"max-age=31536000; includeSubDomains; preload"),
        *(() if status == 401 else (organization,)),
        (b"Server", b"cloudflare"),
        (b"x-envoy-upstream-service-time", b"42"),
        (b"cf-cache-status", b"DYNAMIC"),
        (b"set-cookie", b"_cfuvid=fake-1; path=/; domain=.anthropic.com; HttpOnly; Secure; SameSite=None"),
        (b"Set-Cookie", b"__cf_bm=fake-2, with a comma; path=/; expires=Mon, 23-Nov-26 20:30:00 GMT"),
        (b"X-Robots-Tag", b"none"),
        (b"CF-RAY", b"8fake0000000f4ce-FRA"),
    )


def unified_limits(status: str, *, reset_at: int = RESET_AT, utilization: str = "0.04") -> Headers:
    """Return the limit headers that a subscription gets."""
    prefix, reset = b"anthropic-ratelimit-unified-", b"%d" % reset_at
    return (
        (prefix + b"status", status.encode()),
        (prefix + b"5h-status", status.encode()),
        (prefix + b"5h-reset", reset),
        (prefix + b"5h-utilization", utilization.encode()),
        (prefix + b"7d-status", b"allowed"),
        (prefix + b"7d-reset", reset),
        (prefix + b"7d-utilization", b"0.1"),
        (prefix + b"representative-claim", b"five_hour"),
        (prefix + b"fallback-percentage", b"0.5"),
        (prefix + b"reset", reset),
    )


def rejected(resets_at: int) -> Headers:
    """Return the limit headers of a subscription whose limit is used up."""
    return (
        *unified_limits("rejected", reset_at=resets_at, utilization="1.0"),
        (b"anthropic-ratelimit-unified-overage-status", b"rejected"),
        (b"anthropic-ratelimit-unified-overage-disabled-reason", b"org_level_disabled"),
    )


def json_answer(value: object, *, status: int = 200, headers: Headers = ()) -> Answer:
    """Return a JSON answer."""
    data = json.dumps(value, separators=(",", ":")).encode()
    return Answer(status, ((b"Content-Type", b"application/json"), *headers), (Piece(data),))


def error_answer(status: int, message: str | None = None, *, request_id: str, kind: str | None = None) -> Answer:
    """Return Anthropic's error envelope for a status."""
    envelope = error_envelope(
        kind or ERROR_TYPES.get(status, "api_error"),
        message or ERROR_MESSAGES.get(status) or reason(status),
        request_id=request_id,
    )
    retryable = b"true" if status in (408, 409, 429) or status >= 500 else b"false"
    return json_answer(envelope, status=status, headers=((b"x-should-retry", retryable),))


def limit_answer(*, request_id: str, resets_at: int = RESET_AT) -> Answer:
    """Return the 429 of a subscription whose limit is used up."""
    return error_answer(429, request_id=request_id).with_headers(rejected(resets_at))


def error_envelope(kind: str, message: str, *, request_id: str) -> dict[str, object]:
    """Return the object that every error of Anthropic is."""
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}


def reason(status: int) -> str:
    """Return the reason phrase of a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Overloaded" if status == 529 else "Unknown"


# Server-Sent Events.


def sse_event(name: str, data: Mapping[str, object], *, padding: int = 0, pause: float = 0.0) -> Piece:
    """Return one event; Anthropic pads some of its JSON with blanks before the last brace."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    # A lone surrogate, which JSON can name and UTF-8 cannot hold, comes back as the escape that it came as.
    line = f"event: {name}\ndata: {text[:-1]}{' ' * padding}}}\n\n".encode(errors="backslashreplace")
    return Piece(line, name, pause)


def sse_answer(pieces: Sequence[Piece]) -> Answer:
    """Return a streamed answer."""
    headers = ((b"Content-Type", b"text/event-stream; charset=utf-8"), (b"Cache-Control", b"no-cache"))
    return Answer(200, headers, tuple(pieces), streamed=True)


# The model. What it says is scripted by the last prompt: [[tool NAME {...}]], [[slow COUNT SECONDS]],
# [[say TEXT]], [[big BYTES]], [[think]].


@dataclass(frozen=True, slots=True)
class Script:
    """What a prompt asks the fake model to do."""

    tools: tuple[tuple[str, dict[str, object]], ...] = ()
    slow: tuple[int, float] | None = None
    say: str | None = None
    think: bool = False


_COMMAND: Final = re.compile(r"\[\[(tool|slow|say|big|think)\b\s*")


def read_script(prompt: str) -> Script:
    """Read the commands in a prompt, from left to right."""
    script, at = Script(), 0
    while match := _COMMAND.search(prompt, at):
        verb, at = match[1], match.end()
        if verb == "tool":
            name, brace, _ = prompt[at:].partition("{")
            if not brace:
                break
            # The JSON is read as JSON, so that the prompt of a subagent can hold commands of its own.
            try:
                value, at = json.JSONDecoder().raw_decode(prompt, at + len(name))
            except ValueError:
                break
            script = replace(script, tools=(*script.tools, (name.strip(), value)))
            continue
        rest, _, _ = prompt[at:].partition("]]")
        at += len(rest)
        if verb == "slow":
            count, _, seconds = rest.partition(" ")
            script = replace(script, slow=(int(count), float(seconds)))
        elif verb == "say":
            script = replace(script, say=rest)
        elif verb == "big":
            script = replace(script, say=("0123456789abcde " * (int(rest) // 16 + 1))[: int(rest)])
        else:
            script = replace(script, think=True)
    return script


def _blocks(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content", "")
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _texts(blocks: Sequence[Mapping[str, Any]]) -> list[str]:
    return [str(block["text"]) for block in blocks if block.get("type") == "text"]


def _prompt(messages: Sequence[Mapping[str, Any]]) -> tuple[int, list[str]]:
    """Return the place and the texts of the last thing that a person said: a message without tool results."""
    for index in range(len(messages) - 1, -1, -1):
        blocks = _blocks(messages[index])
        if messages[index].get("role") == "user" and not any(b.get("type") == "tool_result" for b in blocks):
            return index, _texts(blocks)
    return 0, []


def _last_result(messages: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the text of the last tool result, if the last message of the user has one."""
    said = [message for message in messages if message.get("role") == "user"]
    results = [block for block in _blocks(said[-1]) if block.get("type") == "tool_result"] if said else []
    if not results:
        return None
    content = results[-1].get("content", "")
    return content if isinstance(content, str) else "\n".join(_texts(content)) or "(no text)"


def _example(schema: Mapping[str, Any]) -> object:
    """Return the smallest thing that fits a JSON schema of the kind that Claude Code sends."""
    match schema.get("type"):
        case "object":
            return {name: _example(inner) for name, inner in schema.get("properties", {}).items()}
        case "array":
            return []
        case "integer" | "number":
            return 0
        case "boolean":
            return False
        case _:
            return schema["enum"][0] if "enum" in schema else "fake"


@dataclass(frozen=True, slots=True)
class ModelReply:
    """What the model says: thinking, text in parts, and perhaps a tool call."""

    parts: tuple[str, ...]
    think: bool = False
    tool: tuple[str, dict[str, object]] | None = None
    pause: float = 0.0

    @property
    def stop_reason(self) -> str:
        """Tell why the model stopped."""
        return "tool_use" if self.tool else "end_turn"

    @property
    def tokens(self) -> int:
        """Count tokens, after a fashion."""
        return len(self.parts) + (20 if self.tool else 0)


def reply_to(body: Mapping[str, Any]) -> ModelReply:
    """Decide what the model says to a request."""
    messages = body.get("messages", [])
    at, said = _prompt(messages)
    script = read_script("\n".join(said))
    wanted = body.get("output_config", {}).get("format") or body.get("output_format", {})  # the older name of it
    schema = wanted.get("schema")
    if schema is not None:
        return ModelReply((json.dumps(_example(schema)),))
    if body.get("max_tokens") == 1:
        return ModelReply(("#",))
    if any("an <analysis> block followed by a <summary> block" in text for text in said):  # Claude Code's /compact
        return ModelReply(("<analysis>Brief.</analysis>\n<summary>They spoke of the lake.</summary>",))
    if "</block>" in body.get("stop_sequences", ()):  # Claude Code asks whether a tool call is dangerous
        return ModelReply(("<block>no",))
    tools = {tool.get("name"): tool for tool in body.get("tools") or ()}
    offered = set(tools)
    if offered == {"answer"}:  # a schema that a tool stands in for
        if script.say is not None:
            return ModelReply((script.say,))
        value = script.tools[0][1] if script.tools else _example(tools["answer"]["input_schema"])
        return ModelReply((), tool=("answer", dict(value)))  # type: ignore[call-overload]
    done = sum(b.get("type") == "tool_use" for message in messages[at:] for b in _blocks(message))
    wanted = [(_known_as(name, offered), value) for name, value in script.tools]
    if done < len(wanted) and wanted[done][0] in offered:
        return ModelReply(("I will use a tool.",), think=script.think, tool=wanted[done])
    if script.slow:
        count, seconds = script.slow
        return ModelReply(tuple(f"word-{n} " for n in range(1, count + 1)), think=script.think, pause=seconds)
    if script.say is not None:
        text = script.say
    elif (result := _last_result(messages)) is not None:
        text = f"Hello from the fake. The tool said: {result.strip()[:2000]}"
    else:
        # The client puts reminders before what the person typed.
        text = f"Hello from the fake. You said: {''.join(said[-1:]).strip()[-200:]}"
    parts = tuple(text[n : n + 1024] for n in range(0, len(text), 1024)) or ("",)
    return ModelReply(parts if len(parts) > 1 else _in_two(text), think=script.think)


def _known_as(name: str, offered: set[Any]) -> str:
    """Return the name under which the client knows its subagents: Agent, or Task in older ones."""
    other = {"Agent": "Task", "Task": "Agent"}.get(name, name)
    return other if name not in offered and other in offered else name


def _in_two(text: str) -> tuple[str, ...]:
    return (text[: len(text) // 2], text[len(text) // 2 :]) if len(text) > 1 else (text,)


_SIGNATURE: Final = "ZmFrZS1zaWduYXR1cmU" * 6 + "+/=="


def verdicts(request: Mapping[str, Any], tool_id: str) -> dict[str, object]:
    """Return what is added to an answer where the caller wants its tool calls judged, as auto mode does: all are fine.

    The form is what Claude Code 2.1.332 reads (from its source).
    """
    if "safeguards" not in request:
        return {}
    judged = {tool_id: {"type": "evaluated", "outcome": "not_flagged"}} if tool_id else {}
    status = {"type": "available", "tool_uses": judged}
    return {"safeguard_results": [{"type": "dangerous_tool_use", "status": status}]}


def message_pieces(
    reply: ModelReply, message: dict[str, Any], tool_id: str, judged: Mapping[str, object] | None = None
) -> Iterator[Piece]:
    """Yield the events of a streamed message; `judged` is added to the last delta."""
    usage = message["usage"]
    started = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    yield sse_event("message_start", {"type": "message_start", "message": started}, padding=2)
    index = 0

    def block(start: dict[str, object], deltas: Sequence[dict[str, object]]) -> Iterator[Piece]:
        place = {"index": index}
        yield sse_event(
            "content_block_start", {"type": "content_block_start", **place, "content_block": start}, padding=6
        )
        if index == 0:
            yield sse_event("ping", {"type": "ping"})
        for n, delta in enumerate(deltas):
            pause = reply.pause if n else 0.0
            data = {"type": "content_block_delta", **place, "delta": delta}
            yield sse_event("content_block_delta", data, padding=n % 5, pause=pause)
        yield sse_event("content_block_stop", {"type": "content_block_stop", **place}, padding=3)

    if reply.think:
        thought: tuple[dict[str, object], ...] = (
            {"type": "thinking_delta", "thinking": "Let me think about it."},
            {"type": "signature_delta", "signature": _SIGNATURE},
        )
        yield from block({"type": "thinking", "thinking": "", "signature": ""}, thought)
        index += 1
    yield from block({"type": "text", "text": ""}, [{"type": "text_delta", "text": p} for p in reply.parts])
    index += 1
    if reply.tool:
        text = json.dumps(reply.tool[1])
        cuts = ("", text[: len(text) // 2], text[len(text) // 2 :])
        yield from block(
            {"type": "tool_use", "id": tool_id, "name": reply.tool[0], "input": {}},
            [{"type": "input_json_delta", "partial_json": part} for part in cuts],
        )
    delta = {"stop_reason": reply.stop_reason, "stop_sequence": None, **(judged or {})}
    yield sse_event("message_delta", {"type": "message_delta", "delta": delta, "usage": usage}, padding=4)
    yield sse_event("message_stop", {"type": "message_stop"}, padding=1)


def whole_message(reply: ModelReply, message: dict[str, Any], tool_id: str) -> dict[str, Any]:
    """Return the message of an answer that is not streamed."""
    content: list[dict[str, object]] = []
    if reply.think:
        content.append({"type": "thinking", "thinking": "Let me think about it.", "signature": _SIGNATURE})
    content.append({"type": "text", "text": "".join(reply.parts)})
    if reply.tool:
        content.append({"type": "tool_use", "id": tool_id, "name": reply.tool[0], "input": reply.tool[1]})
    return {**message, "content": content}


# The endpoints.


@dataclass(frozen=True, slots=True)
class _File:
    about: dict[str, object]
    kind: str
    data: bytes


class Api:
    """Anthropic's API behind the wire: pure answers, and the files and batches it was given."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._files: dict[str, _File] = {}
        self._batches: dict[str, tuple[dict[str, object], list[dict[str, Any]]]] = {}

    def answer(self, head: Head, body: bytes, request_id: str) -> Answer:
        """Answer one request."""
        path = urlsplit(head.target).path
        if head.method == "HEAD" and path in ("/", "/api/hello"):
            return json_answer({"message": "hello"})
        if not credential_of(head):
            return error_answer(401, "x-api-key header is required", request_id=request_id)
        if len(body) > BODY_LIMIT:
            return error_answer(413, request_id=request_id)
        known = False
        for method, pattern, handler in self._routes():
            if match := re.fullmatch(pattern, path):
                known = True
                if method == head.method or (method == "GET" and head.method == "HEAD"):
                    try:
                        found = handler(head, body, *match.groups())
                    except (ValueError, KeyError, TypeError, AttributeError) as error:
                        return error_answer(400, f"body: {error}", request_id=request_id)
                    return found or error_answer(404, f"not found: {path}", request_id=request_id)
        if known:
            return error_answer(405, "Method Not Allowed", request_id=request_id)
        return error_answer(404, f"not found: {path}", request_id=request_id)

    def _routes(self) -> tuple[tuple[str, str, Callable[..., Answer | None]], ...]:
        return (
            ("POST", "/v1/messages", self._messages),
            ("POST", "/v1/messages/count_tokens", self._count_tokens),
            ("GET", "/v1/models", self._models),
            ("GET", "/v1/models/([^/]+)", self._model),
            ("POST", "/v1/files", self._upload),
            ("GET", "/v1/files", self._list_files),
            ("GET", "/v1/files/([^/]+)", self._file),
            ("GET", "/v1/files/([^/]+)/content", self._file_content),
            ("DELETE", "/v1/files/([^/]+)", self._delete_file),
            ("POST", "/v1/messages/batches", self._create_batch),
            ("GET", "/v1/messages/batches", self._list_batches),
            ("GET", "/v1/messages/batches/([^/]+)", self._batch),
            ("GET", "/v1/messages/batches/([^/]+)/results", self._batch_results),
            ("POST", "/v1/messages/batches/([^/]+)/cancel", self._cancel_batch),
        )

    def _messages(self, head: Head, body: bytes) -> Answer:
        request = json.loads(body)
        reply, message = self._speak(request, len(body))
        tool_id = self._ids("toolu") if reply.tool else ""
        if request.get("stream"):
            return sse_answer(tuple(message_pieces(reply, message, tool_id, verdicts(request, tool_id))))
        return json_answer({**whole_message(reply, message, tool_id), **verdicts(request, tool_id)})

    def _speak(self, request: dict[str, Any], size: int) -> tuple[ModelReply, dict[str, Any]]:
        reply = reply_to(request)
        usage = {
            "input_tokens": 3,
            "cache_creation_input_tokens": size // 4,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": size // 4},
            "output_tokens": reply.tokens,
            "service_tier": "standard",
        }
        return reply, {
            "id": self._ids("msg"),
            "type": "message",
            "role": "assistant",
            "model": request["model"],
            "content": [],
            "stop_reason": reply.stop_reason,
            "stop_sequence": None,
            "usage": usage,
        }

    def _count_tokens(self, head: Head, body: bytes) -> Answer:
        json.loads(body)["messages"]
        return json_answer({"input_tokens": len(body) // 4})

    def _models(self, head: Head, body: bytes) -> Answer:
        data = [_model(name) for name in MODELS]
        return json_answer({"data": data, "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]})

    def _model(self, head: Head, body: bytes, name: str) -> Answer | None:
        return json_answer(_model(name)) if name in MODELS else None

    def _upload(self, head: Head, body: bytes) -> Answer:
        name, kind, data = _multipart_file(head, body)
        about: dict[str, object] = {
            "type": "file",
            "id": self._ids("file"),
            "filename": name,
            "mime_type": kind,
            "size_bytes": len(data),
            "created_at": "2026-11-22T20:00:00Z",
            "downloadable": True,
        }
        self._files[str(about["id"])] = _File(about, kind, data)
        return json_answer(about)

    def _list_files(self, head: Head, body: bytes) -> Answer:
        return json_answer({"data": [file.about for file in self._files.values()], "has_more": False})

    def _file(self, head: Head, body: bytes, name: str) -> Answer | None:
        return json_answer(self._files[name].about) if name in self._files else None

    def _file_content(self, head: Head, body: bytes, name: str) -> Answer | None:
        if name not in self._files:
            return None
        file = self._files[name]
        disposition = f'attachment; filename="{file.about["filename"]}"'
        headers = ((b"Content-Type", file.kind.encode()), (b"Content-Disposition", disposition.encode()))
        return Answer(200, headers, (Piece(file.data),))

    def _delete_file(self, head: Head, body: bytes, name: str) -> Answer | None:
        return json_answer({"id": name, "type": "file_deleted"}) if self._files.pop(name, None) else None

    def _create_batch(self, head: Head, body: bytes) -> Answer:
        requests = json.loads(body)["requests"]
        about: dict[str, object] = {
            "id": self._ids("msgbatch"),
            "type": "message_batch",
            "processing_status": "ended",
            "request_counts": {
                "processing": 0,
                "succeeded": len(requests),
                "errored": 0,
                "canceled": 0,
                "expired": 0,
            },
            "created_at": "2026-11-22T20:00:00Z",
            "expires_at": "2026-11-23T20:00:00Z",
        }
        self._batches[str(about["id"])] = (about, requests)
        return json_answer(about)

    def _list_batches(self, head: Head, body: bytes) -> Answer:
        return json_answer({"data": [about for about, _ in self._batches.values()], "has_more": False})

    def _batch(self, head: Head, body: bytes, name: str) -> Answer | None:
        return json_answer(self._batches[name][0]) if name in self._batches else None

    def _batch_results(self, head: Head, body: bytes, name: str) -> Answer | None:
        if name not in self._batches:
            return None
        lines = []
        for request in self._batches[name][1]:
            reply, message = self._speak(request["params"], 400)
            result = {"type": "succeeded", "message": whole_message(reply, message, "toolu_batch")}
            lines.append(json.dumps({"custom_id": request["custom_id"], "result": result}).encode() + b"\n")
        return Answer(200, ((b"Content-Type", b"application/x-jsonl"),), tuple(map(Piece, lines)), streamed=True)

    def _cancel_batch(self, head: Head, body: bytes, name: str) -> Answer | None:
        return self._batch(head, body, name)


def credential_of(head: Head) -> str:
    """Return the credential of a request, or nothing."""
    for value in head.values(b"authorization"):
        scheme, _, token = value.decode("latin-1").partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return token.strip()
    return next((value.decode("latin-1") for value in head.values(b"x-api-key") if value), "")


def _model(name: str) -> dict[str, object]:
    title = name.replace("-", " ").title()
    return {"type": "model", "id": name, "display_name": title, "created_at": "2026-01-01T00:00:00Z"}


def _multipart_file(head: Head, body: bytes) -> tuple[str, str, bytes]:
    """Return name, type and bytes of the file in a multipart form."""
    kind = b"".join(head.values(b"content-type"))
    match = re.match(rb'multipart/form-data;\s*boundary="?([^";]+)"?$', kind)
    if match is None:
        raise ValueError("not a multipart form")
    mark = b"\r\n--" + match[1]
    parts = (b"\r\n" + body).split(mark)
    if len(parts) < 3 or not parts[-1].startswith(b"--"):
        raise ValueError("a multipart form that does not end")
    for part in parts[1:-1]:
        about, blank, data = part.partition(b"\r\n\r\n")
        name = re.search(rb'filename="([^"]*)"', about)
        if blank and name:
            typed = re.search(rb"(?i)content-type:\s*([^\r\n]+)", about)
            return name[1].decode(), (typed[1].decode() if typed else "application/octet-stream"), data
    raise ValueError("a multipart form without a file")
