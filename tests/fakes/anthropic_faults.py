"""The faults of the fake Anthropic: verbs, most of which end in `_next`."""

import asyncio
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from tests.fakes.anthropic_http import Headers, How
from tests.fakes.anthropic_model import RESET_AT, Answer, Piece, error_answer, error_envelope, rejected, sse_event
from tests.fakes.anthropic_steps import (
    Cut,
    Delay,
    End,
    Fault,
    Held,
    Hold,
    SendHead,
    Stall,
    Wire,
    first_pieces,
    pausing,
    steps_through,
    steps_until,
)

MESSAGES: Final = "/v1/messages"


class FaultQueue:
    """The faults that wait for requests, and the verbs that queue them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, changed: threading.Condition) -> None:
        self._loop = loop
        self._changed = changed
        self._faults: dict[str, deque[Fault]] = {}
        self._die_on_reuse: deque[How] = deque()
        self._holds: list[Hold] = []

    def next_is(self, fault: Fault, *, path: str = MESSAGES, times: int = 1) -> None:
        """Queue a fault for the next requests to a path."""
        with self._changed:
            self._faults.setdefault(path, deque()).extend([fault] * times)

    def clear_faults(self) -> None:
        """Forget the faults that no request has taken."""
        with self._changed:
            self._faults.clear()
            self._die_on_reuse.clear()

    def pass_next(self, *, path: str = MESSAGES, times: int = 1) -> None:
        """Let the next request be answered as usual; a place holder between faults."""
        self.next_is(Fault(), path=path, times=times)

    def wire_next(self, wire: Wire, *, path: str = MESSAGES, times: int = 1) -> None:
        """Put the next answer on the wire in another way."""
        self.next_is(Fault(wire=wire), path=path, times=times)

    def answer_next(
        self,
        status: int = 200,
        *,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        before_body: bool = False,
        wire: Wire | None = None,
        path: str = MESSAGES,
        times: int = 1,
    ) -> None:
        """Answer the next request with this; with `before_body` as soon as its head is read."""
        given = _headers(headers)

        def answer(usual: Answer, request_id: str) -> Answer:
            return Answer(status, given, (Piece(body),) if body else ())

        self.next_is(Fault(answer, answer_early=before_body, wire=wire), path=path, times=times)

    def fail_next(
        self,
        status: int = 529,
        *,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        message: str | None = None,
        kind: str | None = None,
        before_body: bool = False,
        path: str = MESSAGES,
        times: int = 1,
    ) -> None:
        """Answer the next request with an error: Anthropic's envelope, or this body."""
        given = _headers(headers)

        def answer(usual: Answer, request_id: str) -> Answer:
            error = error_answer(status, message, request_id=request_id, kind=kind).with_headers(given)
            return error if body is None else replace(error, pieces=(Piece(body),))

        self.next_is(Fault(answer, answer_early=before_body), path=path, times=times)

    def limit_next(
        self,
        *,
        resets_at: int = RESET_AT,
        retry_after: int | None = None,
        path: str = MESSAGES,
        times: int = 1,
    ) -> None:
        """Answer the next request with the 429 of a subscription whose limit is used up."""
        given = [(name.decode(), value.decode()) for name, value in rejected(resets_at)]
        if retry_after is not None:
            given.append(("retry-after", str(retry_after)))
        self.fail_next(429, headers=given, path=path, times=times)

    def cut_next(self, after: Cut, how: How = "close", *, path: str = MESSAGES, times: int = 1) -> None:
        """End the connection in the next answer, after this much of it.

        nothing: the head is read, the body not; before-head: the request is read, nothing is answered;
        mid-event: the first event and half of the second, chunks whole; mid-chunk: as that, but in a chunk
        that promises more; last-event: everything but what ends the body.
        """
        if after == "nothing":
            fault = Fault(before_body=(End(how),))
        else:
            fault = Fault(steps=lambda steps: [*steps_until(steps, after), End(how)])
        self.next_is(fault, path=path, times=times)

    def delay_next(self, seconds: float, before: str = "head", *, path: str = MESSAGES, times: int = 1) -> None:
        """Wait in the next answer before body-read, head, first-event, an event of that name, or end."""
        self.next_is(pausing(before, Delay(seconds)), path=path, times=times)

    def hold_next(self, before: str = "head", *, path: str = MESSAGES, times: int = 1) -> Hold:
        """Hold the next answer before such a place (as in delay_next) until it is released."""
        hold = Hold(self._loop)
        self._holds.append(hold)
        self.next_is(pausing(before, Held(hold)), path=path, times=times)
        return hold

    def release(self) -> None:
        """Release everything that is or will be held."""
        for hold in self._holds:
            hold.release()

    def stall_next(
        self,
        after: str = "message_start",
        *,
        ping_every: float | None = None,
        path: str = MESSAGES,
        times: int = 1,
    ) -> None:
        """Send nothing more, or only pings, after "head" or the first event of that name, and stay."""
        stall = Stall(ping_every)
        self.next_is(Fault(steps=lambda steps: [*steps_through(steps, after), stall]), path=path, times=times)

    def first_event_error_next(
        self,
        kind: str = "overloaded_error",
        *,
        message: str = "Overloaded",
        path: str = MESSAGES,
        times: int = 1,
    ) -> None:
        """Answer the next request with 200 and an SSE error as its first event."""
        self.event_error_next(kind, after="head", message=message, path=path, times=times)

    def event_error_next(
        self,
        kind: str = "overloaded_error",
        *,
        after: str = "content_block_delta",
        message: str = "Overloaded",
        path: str = MESSAGES,
        times: int = 1,
    ) -> None:
        """End the next stream with an SSE error after "head" or the first event of that name."""

        def answer(usual: Answer, request_id: str) -> Answer:
            error = sse_event("error", error_envelope(kind, message, request_id=request_id))
            return replace(usual, pieces=(*first_pieces(usual.pieces, after), error))

        self.next_is(Fault(answer), path=path, times=times)

    def end_without_message_stop_next(
        self, after: str = "content_block_delta", *, path: str = MESSAGES, times: int = 1
    ) -> None:
        """End the next stream in good order, but after the first event of that name."""
        self.next_is(
            Fault(lambda usual, request_id: replace(usual, pieces=tuple(first_pieces(usual.pieces, after)))),
            path=path,
            times=times,
        )

    def html_next(self, status: int = 200, *, path: str = MESSAGES, times: int = 1) -> None:
        """Answer the next request with a web page, as a captive portal does."""
        page = b"<!DOCTYPE html><html><body>Please sign in to the network.</body></html>"
        self.answer_next(status, headers={"Content-Type": "text/html"}, body=page, path=path, times=times)

    def garbage_next(self, data: bytes = b"\x16\x03\x01\x00 not HTTP\r\n\r\n", *, path: str = MESSAGES) -> None:
        """Answer the next request with these bytes, whatever they are, and end the connection."""
        self.next_is(Fault(steps=lambda steps: [SendHead(data), End("close")]), path=path)

    def die_on_reuse_next(self, how: How = "close", *, times: int = 1) -> None:
        """End the next connection that is used a second time, at the first byte of that request.

        Such a request is not recorded: `deaths` counts them.
        """
        with self._changed:
            self._die_on_reuse.extend([how] * times)


def _headers(given: Mapping[str, str] | Iterable[tuple[str, str]]) -> Headers:
    pairs = given.items() if isinstance(given, Mapping) else given
    return tuple((name.encode(), value.encode()) for name, value in pairs)
