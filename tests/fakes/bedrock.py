"""A recording fake of the Bedrock runtime that is strict about who asks and what, and fails in every way.

    with FakeBedrock() as fake:
        fake.fail_next(kind="ThrottlingException")
        fake.exception_next("modelStreamErrorException", after="content_block_delta")
        ...                                   # point an SDK at fake.url, with the keys of fake.key
        asked = fake.wait_for(2)
        assert model_of(asked[0]) == "us.anthropic.claude-opus-5-5"
        assert fake.violations == []          # nothing came that must not come at all
        assert fake.refusals == []            # nothing came that Bedrock would have refused

It is the control plane, too, as far as that lists inference profiles: PROFILES is its path.

The wire, its faults and the waiting are FakeAnthropic's. `path` of a verb names a path, or an operation (INVOKE,
STREAM, COUNT); by default it is whichever invocation comes next. Places in a stream have the names of Anthropic's
events.
"""

import base64
import json
import re
import ssl
from collections import ChainMap, deque
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NoReturn, cast
from urllib.parse import unquote

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.anthropic_faults import MESSAGES
from tests.fakes.anthropic_http import Connection, Head, check_head
from tests.fakes.anthropic_model import Answer, Piece, error_envelope, json_answer
from tests.fakes.anthropic_requests import Recorded
from tests.fakes.anthropic_steps import End, Fault
from tests.fakes.bedrock_body import BODY_LIMIT, BodyRefusedError, Operation, check_body, tokens_in
from tests.fakes.bedrock_control import PROFILES, ControlRefusedError, serve
from tests.fakes.bedrock_frames import Part, chunk_piece, error_piece, exception_piece, spoiled
from tests.fakes.bedrock_model import (
    ACCOUNT,
    ERRORS,
    EXCEPTIONS,
    RequestIds,
    Spoken,
    bedrock_error,
    converse_answer,
    converse_stream,
    from_converse,
    kind_of,
    leaky,
    message_answer,
    message_stream,
    request_headers,
    speak,
)
from tests.fakes.bedrock_models import FAMILIES, Family, Model, models_of
from tests.fakes.bedrock_models import State as ModelState
from tests.fakes.bedrock_sigv4 import Key, Refusal, access_key_of, check_bearer, check_signature
from tests.fakes.bedrock_sigv4 import State as KeyState

INVOKE: Final = "invoke"
STREAM: Final = "invoke-with-response-stream"
COUNT: Final = "count-tokens"

KEY: Final = Key(
    "ASIAINVENTEDBYHERON1", "invented/secret+of/the+lake/0123456789abcd", "InventedSessionToken/" * 6 + "=="
)
BEARER_KEY: Final = "bedrock-api-key-invented-by-the-heron"
SIGNATURE: Final = "QmVkcm9jay1zaWduYXR1cmU" * 6 + "+/=="

_TARGET: Final = re.compile(
    r"/model/([^/]+)/(invoke|invoke-with-response-stream|count-tokens|converse|converse-stream)"
)
_SECRET_OF_ANTHROPICS: Final = re.compile(rb"sk-ant-")
_NEEDS_PROFILE: Final = (
    "Invocation of model ID {} with on-demand throughput isn\u2019t supported. Retry your request with the ID or ARN "
    "of an inference profile that contains this model."
)
_ENDED: Final = (
    "This model version has reached the end of its life. Please refer to the AWS documentation for more details."
)


class FakeBedrock(FakeAnthropic):
    """The Bedrock runtime of one region on a port of this machine, in a thread of its own."""

    def __init__(
        self,
        *,
        region: str = "us-west-2",
        key: Key = KEY,
        issued: MutableMapping[str, Key] | None = None,
        converse: bool = False,
        header_betas: Literal["ignored", "checked"] = "ignored",
        canaries: Iterable[bytes] = (),
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Bind the port; no request may hold one of `canaries`, and none may use Converse unless it is allowed.

        `issued` are keys that somebody else gives out and takes away, such as FakeAws.
        """
        super().__init__(tls=tls, host=host, port=port, direct=True)
        self._thread.name = "fake-bedrock"
        self.region = region
        self.key = key
        self.keys: ChainMap[str, Key] = ChainMap({key.access_key: key}, issued if issued is not None else {})
        self.bearers: dict[str, KeyState] = {BEARER_KEY: "live"}
        self.models: dict[str, Model] = models_of(region)
        self.families: dict[str, Family] = dict(FAMILIES)
        self.refusals: list[str] = []
        self.clock_offset = timedelta()
        self.foreign_signatures_refused = False
        self.page_size = 1000  # of the control plane's list
        self.listing_denied = False
        self._converse = converse
        self._header_betas = header_betas
        self._canaries = tuple(canaries)
        self._request_ids = RequestIds()
        self._waiting: dict[str, deque[Fault]] = {}

    # Who may call, and what.

    def add_key(self, key: Key) -> None:
        """Let another key in, or the same one in another state."""
        self.keys[key.access_key] = key

    def expire_key(self, access_key: str | None = None) -> None:
        """Let a key be over: ExpiredTokenException from now on."""
        self._set_key(access_key, "expired")

    def revoke_key(self, access_key: str | None = None) -> None:
        """Let nobody know a key: UnrecognizedClientException from now on."""
        self._set_key(access_key, "revoked")

    def deny_key(self, access_key: str | None = None) -> None:
        """Let a key be good, but not for calling models: AccessDeniedException from now on."""
        self._set_key(access_key, "denied")

    def revive_key(self, access_key: str | None = None) -> None:
        """Let a key be good again."""
        self._set_key(access_key, "live")

    def _set_key(self, access_key: str | None, state: KeyState) -> None:
        name = access_key or self.key.access_key
        self.keys[name] = replace(self.keys[name], state=state)

    def set_model(self, model_id: str, state: ModelState) -> None:
        """Let a model that is known be in another state."""
        self.models[model_id] = replace(self.models[model_id], state=state)

    def forget_model(self, model_id: str) -> None:
        """Let a model id be one that Bedrock does not know."""
        del self.models[model_id]

    def add_model(self, base: str, *prefixes: str) -> None:
        """Add a model that nobody has heard of, with its inference profiles."""
        self.models[base] = Model(base, "profile-only")
        self.models |= {f"{prefix}.{base}": Model(base) for prefix in prefixes}

    def add_profile(self, arn: str, base: str) -> None:
        """Add an application inference profile, or another id, for a foundation model."""
        self.models[arn] = Model(base)

    # Faults, besides those of FakeAnthropic.

    def next_is(self, fault: Fault, *, path: str = MESSAGES, times: int = 1) -> None:
        """Queue a fault for the next requests to a path, of an operation, or of any that calls a model."""
        with self._changed:
            self._waiting.setdefault(path, deque()).extend([fault] * times)

    def clear_faults(self) -> None:
        """Forget the faults that no request has taken."""
        super().clear_faults()
        with self._changed:
            self._waiting.clear()

    def fail_next(
        self,
        status: int | None = None,
        *,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        message: str | None = None,
        kind: str | None = None,
        before_body: bool = False,
        path: str = MESSAGES,
        times: int = 1,
        private: bool = False,
    ) -> None:
        """Answer the next request with an error of Bedrock's, by status or kind; `private`: with ARNs in its text."""
        name = kind or kind_of(status or 429)
        text = message or (ERRORS[name].message if name in ERRORS else None)
        denied = name == "AccessDeniedException" and message is None
        error = bedrock_error(name, leaky(text or "") if private else text, status=status, front_door=denied)
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        error = error.with_headers(tuple((header.encode(), value.encode()) for header, value in pairs))
        if body is not None:
            error = replace(error, pieces=(Piece(body),))
        self.next_is(Fault(lambda usual, request_id: error, answer_early=before_body), path=path, times=times)

    def exception_next(
        self,
        kind: str = "modelStreamErrorException",
        *,
        after: str = "content_block_delta",
        message: str | None = None,
        original_status: int | None = None,
        private: bool = False,
        path: str = STREAM,
        times: int = 1,
    ) -> None:
        """End the next stream with an exception, known or not, after "head" or the first event of that name."""
        about = dict(EXCEPTIONS.get(kind, {"message": "Something new went wrong."}))
        about["message"] = message or about["message"]
        if private:
            about["message"] = leaky(str(about["message"]))
        if original_status is not None:
            about["originalStatusCode"] = original_status
        self._end_stream(exception_piece(kind, about), after, path, times)

    def unmodeled_error_next(
        self,
        code: str = "internalFailure",
        *,
        after: str = "content_block_delta",
        message: str = "Something went wrong.",
        path: str = STREAM,
        times: int = 1,
    ) -> None:
        """End the next stream with an error that the service's model does not have."""
        self._end_stream(error_piece(code, message), after, path, times)

    def event_error_next(
        self,
        kind: str = "overloaded_error",
        *,
        after: str = "content_block_delta",
        message: str = "Overloaded",
        path: str = STREAM,
        times: int = 1,
    ) -> None:
        """End the next stream with an error of Anthropic's in a chunk."""
        envelope = error_envelope(kind, message, request_id="req_bdrk_fake")
        self._end_stream(chunk_piece(envelope, number=0), after, path, times)

    def first_event_error_next(
        self, kind: str = "overloaded_error", *, message: str = "Overloaded", path: str = STREAM, times: int = 1
    ) -> None:
        """Answer the next request with 200 and an error of Anthropic's in the first chunk."""
        self.event_error_next(kind, after="head", message=message, path=path, times=times)

    def corrupt_next(
        self, part: Part = "message", *, after: str = "message_start", path: str = STREAM, times: int = 1
    ) -> None:
        """Spoil one part of the message that follows "head" or the first event of that name; the rest is right."""

        def answer(usual: Answer, request_id: str) -> Answer:
            if not usual.streamed:
                return usual
            at = _place(usual, after)
            pieces = (*usual.pieces[:at], spoiled(usual.pieces[at], part), *usual.pieces[at + 1 :])
            return replace(usual, pieces=pieces)

        self.next_is(Fault(answer), path=path, times=times)

    def truncate_next(self, after: str = "content_block_delta", *, path: str = STREAM, times: int = 1) -> None:
        """End the next stream in good order for HTTP, but in the middle of the message that follows."""

        def answer(usual: Answer, request_id: str) -> Answer:
            if not usual.streamed:
                return usual
            at = _place(usual, after)
            half = usual.pieces[at].data[: len(usual.pieces[at].data) // 2]
            return replace(usual, pieces=(*usual.pieces[:at], replace(usual.pieces[at], data=half)))

        self.next_is(Fault(answer), path=path, times=times)

    def limit_next(
        self, *, resets_at: int = 0, retry_after: int | None = None, path: str = MESSAGES, times: int = 1
    ) -> NoReturn:
        """Raise: Bedrock has no limits of subscriptions."""
        raise NotImplementedError("Bedrock throttles: fail_next(429)")

    def _end_stream(self, last: Piece, after: str, path: str, times: int) -> None:
        def answer(usual: Answer, request_id: str) -> Answer:
            if not usual.streamed:  # refused: there is no stream to end
                return usual
            return replace(usual, pieces=(*usual.pieces[: _place(usual, after)], last))

        self.next_is(Fault(answer), path=path, times=times)

    # Serving. All below runs in the thread of the fake.

    async def _exchange(self, connection: Connection, head: Head, recorded: Recorded, fault: Fault) -> bool:
        violations = check_head(head, port=self.port, direct=True) + _leaks(head)
        if violations:
            recorded.status = 400
            await self._refuse(connection, violations)
            return False
        fault = self._due(recorded)
        for step in fault.before_body:
            await self._take(connection, step, chunked=False, wire=self.wire)
            if isinstance(step, End):
                return False
        if not fault.answer_early:
            await self._read_body(connection, head, recorded)
        usual = self._answer(connection, head, recorded)
        request_id = self._request_ids()
        answer = fault.answer(usual, request_id)
        answer = replace(answer, headers=Answer(0, request_headers(request_id)).with_headers(answer.headers).headers)
        wire = fault.wire or self.wire
        if fault.answer_early:
            wire = replace(wire, keep_alive=False)
        reusable = await self._play(connection, head, recorded, answer, wire, fault.steps)
        if fault.answer_early:
            await self._read_body(connection, head, recorded)
        return reusable

    def _due(self, recorded: Recorded) -> Fault:
        """Return the fault that waits for a request: for its path, its operation, or any invocation."""
        match = _TARGET.fullmatch(recorded.path)
        operation = match[2] if match else ""
        anything = "" if operation in ("", COUNT) else MESSAGES
        with self._changed:
            for name in (recorded.path, operation, anything):
                if self._waiting.get(name):
                    return self._waiting[name].popleft()
        return Fault()

    def _answer(self, connection: Connection, head: Head, recorded: Recorded) -> Answer:
        """Answer one request, and note why if Bedrock would not serve it."""
        if not recorded.complete:
            return bedrock_error("InternalServerException")  # an answer before the body is never this one
        found = [repr(canary) for canary in self._canaries if canary in head.raw or canary in recorded.body]
        if found:
            self._note([f"{head.method} {recorded.path} holds {', '.join(found)}"], connection)
        try:
            refusal = self._check_caller(head, recorded.body)
            if refusal:
                raise _RefusedError(refusal)
            return self._serve_operation(connection, head, recorded)
        except BodyRefusedError as error:
            return self._refused(recorded, Refusal("ValidationException", str(error)))
        except _RefusedError as error:
            return self._refused(recorded, error.refusal)

    def _refused(self, recorded: Recorded, refusal: Refusal) -> Answer:
        with self._changed:
            self.refusals.append(f"{recorded.method} {recorded.path}: {refusal.kind}: {refusal.message}")
            self._changed.notify_all()
        if refusal.kind == "UnknownOperationException":
            output = {"Output": {"__type": "com.amazon.coral.service#UnknownOperationException"}, "Version": "1.0"}
            return json_answer(output, status=404)
        return bedrock_error(refusal.kind, refusal.message, front_door=refusal.front_door)

    def _check_caller(self, head: Head, body: bytes) -> Refusal | None:
        authorization = b"".join(head.values(b"authorization")[:1]).decode("latin-1")
        if authorization.startswith("Bearer "):
            token = authorization.removeprefix("Bearer ")
            state, refusal = self.bearers.get(token), check_bearer(token, self.bearers)
        else:
            key = self.keys.get(access_key_of(authorization) or "")
            state = key.state if key else None
            now = datetime.now(UTC) + self.clock_offset
            refusal = check_signature(head, body, keys=self.keys, region=self.region, now=now)
        if refusal or state != "denied":
            return refusal
        return Refusal("AccessDeniedException", ERRORS["AccessDeniedException"].message, front_door=True)

    def _serve_operation(self, connection: Connection, head: Head, recorded: Recorded) -> Answer:
        if head.method == "GET" and recorded.path.startswith(PROFILES):
            return self._serve_control(recorded)
        match = _TARGET.fullmatch(recorded.path)
        if head.method != "POST" or match is None or (match[2].startswith("converse") and not self._converse):
            self._note([f"{head.method} {recorded.path} is not for this fake"], connection)
            raise _RefusedError(Refusal("UnknownOperationException", "no such operation"))
        model_id, operation = unquote(match[1]), cast("Operation", match[2])
        kind = b"".join(head.values(b"content-type")).partition(b";")[0].strip().lower()
        if kind != b"application/json":
            raise BodyRefusedError("The provided Content Type is invalid or not supported for this model")
        model = self._model(model_id, counts=operation == COUNT)
        if len(recorded.body) > BODY_LIMIT:
            raise BodyRefusedError(
                "1 validation error detected: Value at 'body' failed to satisfy constraint: "
                f"Member must have length less than or equal to {BODY_LIMIT}"
            )
        match operation:
            case "invoke":
                return message_answer(self._invoke(model, head, recorded.body, operation))
            case "invoke-with-response-stream":
                return message_stream(self._invoke(model, head, recorded.body, operation))
            case "count-tokens":
                return self._count(model, head, recorded.body)
            case "converse":
                return converse_answer(self._speak(model, _converse_request(recorded.body)))
            case "converse-stream":
                return converse_stream(self._speak(model, _converse_request(recorded.body)))

    def _serve_control(self, recorded: Recorded) -> Answer:
        if self.listing_denied:
            text = (
                f"User: arn:aws:sts::{ACCOUNT}:assumed-role/Heron/heron is not authorized to perform: "
                f"bedrock:ListInferenceProfiles on resource: arn:aws:bedrock:{self.region}:{ACCOUNT}:*"
            )
            raise _RefusedError(Refusal("AccessDeniedException", text))
        try:
            answer = serve(recorded.target, self.models, region=self.region, page=self.page_size)
        except ControlRefusedError as error:
            raise _RefusedError(error.refusal) from None
        if answer is None:
            raise _RefusedError(Refusal("UnknownOperationException", "no such operation"))
        return answer

    def _model(self, model_id: str, *, counts: bool) -> Model:
        model = self.models.get(model_id)
        if model is None:
            raise BodyRefusedError("The provided model identifier is invalid.")
        if counts and model_id != model.base:
            raise BodyRefusedError("The provided model doesn't support counting tokens.")
        match model.state:
            case "profile-only" if not counts:
                raise BodyRefusedError(_NEEDS_PROFILE.format(model_id))
            case "no-access":
                text = "You don't have access to the model with the specified model ID."
                raise _RefusedError(Refusal("AccessDeniedException", text))
            case "legacy":
                kind = "ResourceNotFoundException"
                raise _RefusedError(Refusal(kind, ERRORS[kind].message))
            case "ended":
                raise _RefusedError(Refusal("ResourceNotFoundException", _ENDED))
            case "not-ready":
                kind = "ModelNotReadyException"
                raise _RefusedError(Refusal(kind, ERRORS[kind].message))
            case _:
                return model

    def _invoke(self, model: Model, head: Head, body: bytes, operation: Operation) -> Spoken:
        betas: tuple[str, ...] = ()
        if self._header_betas == "checked":
            given = b",".join(head.values(b"anthropic-beta")).decode("latin-1")
            betas = tuple(beta.strip() for beta in given.split(",") if beta.strip())
        family = self.families.get(model.family, Family())
        request = check_body(body, family, operation, betas=betas, signature_known=self._knows_signature)
        return self._speak(model, request)

    def _knows_signature(self, signature: str) -> bool:
        return signature == SIGNATURE or not self.foreign_signatures_refused

    def _speak(self, model: Model, request: Mapping[str, object]) -> Spoken:
        message_id, tool_id = self._ids("msg_bdrk"), self._ids("toolu_bdrk")
        return speak(request, model=model.name, message_id=message_id, tool_id=tool_id, signature=SIGNATURE)

    def _count(self, model: Model, head: Head, body: bytes) -> Answer:
        try:
            given = json.loads(body)["input"]
            if "converse" in given:
                return json_answer({"inputTokens": tokens_in(from_converse(given["converse"]))})
            inner = base64.b64decode(given["invokeModel"]["body"], validate=True)
        except (ValueError, KeyError, TypeError):
            text = "1 validation error detected: Value at 'input' failed to satisfy constraint"
            raise BodyRefusedError(text) from None
        request = check_body(inner, self.families.get(model.family, Family()), COUNT)
        return json_answer({"inputTokens": tokens_in(request)})


class _RefusedError(Exception):
    """Bedrock would refuse this."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


# What was recorded.


def model_of(recorded: Recorded) -> str:
    """Return the id of the model that a request is for."""
    match = _TARGET.fullmatch(recorded.path)
    assert match, f"{recorded.path} names no model"
    return unquote(match[1])


def operation_of(recorded: Recorded) -> str:
    """Return the operation that a request is for: INVOKE, STREAM, COUNT …"""
    match = _TARGET.fullmatch(recorded.path)
    assert match, f"{recorded.path} names no operation"
    return match[2]


def signer_of(recorded: Recorded) -> str | None:
    """Return the access key that signed a request."""
    return access_key_of(recorded.header("authorization") or "")


def _converse_request(body: bytes) -> dict[str, object]:
    try:
        return from_converse(json.loads(body))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BodyRefusedError(f"The format of the Converse request is not right: {error!r}") from None


def _leaks(head: Head) -> list[str]:
    """List the headers that hold what is Anthropic's alone."""
    return [
        f"a credential for Anthropic in {name.decode()}"
        for name, value in head.headers
        if name.lower() == b"x-api-key" or _SECRET_OF_ANTHROPICS.search(value)
    ]


def _place(answer: Answer, after: str) -> int:
    """Return the index of the piece that follows a place in a stream."""
    return 0 if after == "head" else [piece.name for piece in answer.pieces].index(after) + 1
