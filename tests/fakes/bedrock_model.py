"""What the fake Bedrock says: messages and their streams, token counts, Converse, and errors with their headers."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.fakes.anthropic_http import Headers
from tests.fakes.anthropic_model import Answer, ModelReply, Piece, json_answer, message_pieces, reply_to, whole_message
from tests.fakes.bedrock_body import tokens_in
from tests.fakes.bedrock_frames import JSON, chunk_piece, event_frame, stream_answer
from tests.fakes.bedrock_sigv4 import EXPIRED_TOKEN, INVALID_TOKEN, MISMATCH, MISSING

ACCOUNT: Final = "123456789012"
ROLE_ARN: Final = (
    f"arn:aws:sts::{ACCOUNT}:assumed-role/AWSReservedSSO_AdministratorAccess_0123456789abcdef/heron@example.com"
)
# What no client may ever see of an error.
PRIVATE: Final = (ACCOUNT, "arn:aws", "heron@example.com", "AWSReservedSSO")

_CORAL: Final = ":http://internal.amazon.com/coral/com.amazon.bedrock/"


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """An error of the service: its status and what it says if nobody says otherwise."""

    status: int
    message: str
    extra: Mapping[str, object] | None = None


ERRORS: Final[Mapping[str, ErrorKind]] = {
    "ValidationException": ErrorKind(
        400,
        "Malformed input request: #: extraneous key [x] is not permitted, please reformat your input and try again.",
    ),
    "ServiceQuotaExceededException": ErrorKind(400, "Your request exceeds the service quota for your account."),
    "AccessDeniedException": ErrorKind(
        403,
        f"User: {ROLE_ARN} is not authorized to perform: bedrock:InvokeModel on resource: "
        f"arn:aws:bedrock:us-west-2:{ACCOUNT}:inference-profile/us.anthropic.claude-opus-5-5 because no "
        "identity-based policy allows the bedrock:InvokeModel action",
    ),
    "ExpiredTokenException": ErrorKind(403, EXPIRED_TOKEN.message),
    "UnrecognizedClientException": ErrorKind(403, INVALID_TOKEN.message),
    "InvalidSignatureException": ErrorKind(403, MISMATCH.message),
    "IncompleteSignatureException": ErrorKind(403, "Authorization header requires 'Credential' parameter."),
    "MissingAuthenticationTokenException": ErrorKind(403, MISSING.message),
    "ResourceNotFoundException": ErrorKind(
        404,
        "Access denied. This Model is marked by provider as Legacy and you have not been actively using the model in "
        "the last 15 days. Please upgrade to an active model on Amazon Bedrock",
    ),
    "UnknownOperationException": ErrorKind(404, "The requested operation is not recognized by the service."),
    "ModelTimeoutException": ErrorKind(408, "Model has timed out in processing the request. Try your request again."),
    "RequestEntityTooLargeException": ErrorKind(413, "The request body is too large."),
    "ModelErrorException": ErrorKind(
        424,
        "The system encountered an unexpected error during processing. Try your request again.",
        {
            "originalStatusCode": 500,
            "resourceName": f"arn:aws:bedrock:us-west-2:{ACCOUNT}:inference-profile/us.anthropic.claude-opus-5-5",
        },
    ),
    "ThrottlingException": ErrorKind(429, "Too many tokens, please wait before trying again."),
    "ModelNotReadyException": ErrorKind(
        429, "The model specified in the request is not ready to serve inference requests."
    ),
    "InternalServerException": ErrorKind(
        500, "The system encountered an unexpected error during processing. Try your request again."
    ),
    "ServiceUnavailableException": ErrorKind(503, "Bedrock is unable to process your request."),
}
_BY_STATUS: Final[Mapping[int, str]] = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    413: "RequestEntityTooLargeException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}

# What a stream can end with, by its name there: what it says, and what else it holds.
EXCEPTIONS: Final[Mapping[str, Mapping[str, object]]] = {
    "internalServerException": {"message": ERRORS["InternalServerException"].message},
    "modelStreamErrorException": {
        "message": "The system encountered an unexpected error during processing. Try your request again.",
        "originalStatusCode": 500,
        "originalMessage": "Overloaded",
    },
    "modelTimeoutException": {"message": ERRORS["ModelTimeoutException"].message},
    "serviceUnavailableException": {"message": ERRORS["ServiceUnavailableException"].message},
    "throttlingException": {"message": ERRORS["ThrottlingException"].message},
    "validationException": {"message": "The model returned the following errors: Output blocked by policy."},
}


def leaky(message: str) -> str:
    """Return a text with the account, a role and a resource in it, as Bedrock's sometimes are."""
    resource = f"arn:aws:bedrock:us-west-2:{ACCOUNT}:application-inference-profile/0a1b2c3d4e5f"
    return f"{message} (Account: {ACCOUNT}; User: {ROLE_ARN}; Resource: {resource})"


def kind_of(status: int) -> str:
    """Return the name of the usual error of a status."""
    return _BY_STATUS.get(status, "InternalServerException")


def bedrock_error(
    kind: str, message: str | None = None, *, status: int | None = None, front_door: bool = False
) -> Answer:
    """Return an error of Bedrock's, or of what stands before it."""
    about = ERRORS.get(kind, ErrorKind(status or 500, "An error of a kind that nobody knows."))
    return json_answer(
        {"Message" if front_door else "message": message or about.message, **(about.extra or {})},
        status=status or about.status,
        headers=((b"x-amzn-ErrorType", (kind if front_door else kind + _CORAL).encode()),),
    )


def request_headers(request_id: str) -> Headers:
    """Return the headers that every answer has."""
    return (
        (b"Date", b"Sun, 22 Nov 2026 20:00:00 GMT"),
        (b"Connection", b"keep-alive"),
        (b"x-amzn-RequestId", request_id.encode()),
    )


class RequestIds:
    """Request ids that are the same in every run, and UUIDs as AWS's are."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def __call__(self) -> str:
        """Return the next one."""
        return f"00000000-0000-4000-8000-{next(self._numbers):012d}"


# Messages.


@dataclass(frozen=True, slots=True)
class Spoken:
    """What the model says to one request, with the names it goes by."""

    reply: ModelReply
    model: str
    message_id: str
    tool_id: str
    signature: str
    input_tokens: int

    @property
    def usage(self) -> dict[str, object]:
        """Count as Anthropic does on Bedrock."""
        return {
            "input_tokens": 3,
            "cache_creation_input_tokens": self.input_tokens,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": self.input_tokens, "ephemeral_1h_input_tokens": 0},
            "output_tokens": self.reply.tokens,
        }

    @property
    def message(self) -> dict[str, Any]:
        """The message, without its content."""
        return {
            "model": self.model,
            "id": self.message_id,
            "type": "message",
            "role": "assistant",
            "content": [],
            "stop_reason": self.reply.stop_reason,
            "stop_sequence": None,
            "usage": self.usage,
        }


def speak(request: Mapping[str, Any], *, model: str, message_id: str, tool_id: str, signature: str) -> Spoken:
    """Decide what the model says; it is scripted by the same commands as the fake Anthropic."""
    return Spoken(reply_to(request), model, message_id, tool_id, signature, tokens_in(request))


def message_answer(spoken: Spoken) -> Answer:
    """Return a whole message."""
    message = whole_message(spoken.reply, spoken.message, spoken.tool_id)
    for block in message["content"]:
        if block["type"] == "thinking":
            block["signature"] = spoken.signature
    return json_answer(message, headers=_count_headers(spoken))


def message_stream(spoken: Spoken) -> Answer:
    """Return a streamed message: Anthropic's events in Anthropic's order, no pings, and metrics in the last one."""
    pieces = []
    for number, (event, pause) in enumerate(_events(spoken)):
        if event["type"] == "message_stop":
            event["amazon-bedrock-invocationMetrics"] = {
                "inputTokenCount": 3,
                "outputTokenCount": spoken.reply.tokens,
                "invocationLatency": 321,
                "firstByteLatency": 123,
                "cacheReadInputTokenCount": 0,
                "cacheWriteInputTokenCount": spoken.input_tokens,
            }
        pieces.append(chunk_piece(event, number=number, pause=pause))
    return stream_answer(pieces, ((b"X-Amzn-Bedrock-Content-Type", JSON),))


def _events(spoken: Spoken) -> Iterator[tuple[dict[str, Any], float]]:
    for piece in message_pieces(spoken.reply, spoken.message, spoken.tool_id):
        if piece.name == "ping":
            continue
        event = json.loads(piece.data.partition(b"\ndata: ")[2])
        if event.get("delta", {}).get("type") == "signature_delta":
            event["delta"]["signature"] = spoken.signature
        yield event, piece.pause


def _count_headers(spoken: Spoken) -> Headers:
    counts = (
        ("X-Amzn-Bedrock-Invocation-Latency", 321),
        ("X-Amzn-Bedrock-Input-Token-Count", 3),
        ("X-Amzn-Bedrock-Output-Token-Count", spoken.reply.tokens),
        ("X-Amzn-Bedrock-Cache-Read-Input-Token-Count", 0),
        ("X-Amzn-Bedrock-Cache-Write-Input-Token-Count", spoken.input_tokens),
    )
    return tuple((name.encode(), b"%d" % count) for name, count in counts)


# Converse, for callers that may use it.


def from_converse(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request of Anthropic's form that a Converse request stands for."""
    tools = request.get("toolConfig", {}).get("tools", [])
    specs = [tool["toolSpec"] for tool in tools if "toolSpec" in tool]
    return {
        "max_tokens": request.get("inferenceConfig", {}).get("maxTokens", 4096),
        "system": [{"type": "text", "text": block["text"]} for block in request.get("system", ()) if "text" in block],
        "messages": [
            {"role": message["role"], "content": list(_from_blocks(message["content"]))}
            for message in request["messages"]
        ],
        "tools": [{"name": spec["name"], "input_schema": spec["inputSchema"]["json"]} for spec in specs],
    }


def _from_blocks(blocks: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for block in blocks:
        match block:
            case {"text": text}:
                yield {"type": "text", "text": text}
            case {"toolUse": use}:
                yield {"type": "tool_use", "id": use["toolUseId"], "name": use["name"], "input": use["input"]}
            case {"toolResult": result}:
                content = list(_from_blocks(result["content"]))
                yield {"type": "tool_result", "tool_use_id": result["toolUseId"], "content": content}
            case {"json": value}:
                yield {"type": "text", "text": json.dumps(value)}
            case _:
                continue


def converse_answer(spoken: Spoken) -> Answer:
    """Return the whole answer of Converse."""
    reply = spoken.reply
    content: list[dict[str, object]] = []
    if reply.think:
        thought = {"text": "Let me think about it.", "signature": spoken.signature}
        content.append({"reasoningContent": {"reasoningText": thought}})
    content.append({"text": "".join(reply.parts)})
    if reply.tool:
        use = {"toolUseId": spoken.tool_id, "name": reply.tool[0], "input": reply.tool[1]}
        content.append({"toolUse": use})
    answer = {
        "metrics": {"latencyMs": 321},
        "output": {"message": {"content": content, "role": "assistant"}},
        "stopReason": reply.stop_reason,
        "usage": _converse_usage(spoken),
    }
    return json_answer(answer)


def converse_stream(spoken: Spoken) -> Answer:
    """Return the streamed answer of Converse."""

    def pieces() -> Iterator[Piece]:
        reply = spoken.reply
        yield _event("messageStart", {"role": "assistant"})
        index = 0
        if reply.think:
            for thought in ({"text": "Let me think about it."}, {"signature": spoken.signature}):
                yield _event("contentBlockDelta", _delta(index, {"reasoningContent": thought}))
            yield _event("contentBlockStop", {"contentBlockIndex": index})
            index += 1
        for number, part in enumerate(reply.parts):
            yield _event("contentBlockDelta", _delta(index, {"text": part}), reply.pause if number else 0.0)
        yield _event("contentBlockStop", {"contentBlockIndex": index})
        if reply.tool:
            start = {"toolUse": {"name": reply.tool[0], "toolUseId": spoken.tool_id}}
            yield _event("contentBlockStart", {"contentBlockIndex": index + 1, "start": start})
            use = {"toolUse": {"input": json.dumps(reply.tool[1])}}
            yield _event("contentBlockDelta", _delta(index + 1, use))
            yield _event("contentBlockStop", {"contentBlockIndex": index + 1})
        yield _event("messageStop", {"stopReason": reply.stop_reason})
        yield _event("metadata", {"metrics": {"latencyMs": 321}, "usage": _converse_usage(spoken)})

    return stream_answer(tuple(pieces()))


def _event(name: str, value: Mapping[str, object], pause: float = 0.0) -> Piece:
    payload = json.dumps({**value, "p": "abcdefgh"}, separators=(",", ":")).encode()
    return Piece(event_frame(name, payload), name, pause)


def _delta(index: int, delta: Mapping[str, object]) -> dict[str, object]:
    return {"contentBlockIndex": index, "delta": delta}


def _converse_usage(spoken: Spoken) -> dict[str, object]:
    said, heard = spoken.reply.tokens, 3 + spoken.input_tokens
    return {"inputTokens": heard, "outputTokens": said, "totalTokens": heard + said}
