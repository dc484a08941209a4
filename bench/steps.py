"""What the steps of one request take, each alone and in a loop: `python -m bench.steps`.

The least that a step can cost: its code and its data are in the processor's caches, as they never are between two
requests. No socket; the steps that the limit has, too, are marked.
"""

import asyncio
import timeit
from functools import partial
from typing import TYPE_CHECKING

import httptools

from bench import client
from claude_gatewayd.anthropic import request as anthropic_request
from claude_gatewayd.http1 import head
from claude_gatewayd.http1.deadline import Deadline
from claude_gatewayd.http1.flow import Budget
from claude_gatewayd.http1.repeated import RepeatedHead
from claude_gatewayd.http1.server.exchange import Exchange
from claude_gatewayd.network.connect import Origin
from claude_gatewayd.worker.gateway.call import Call
from claude_gatewayd.worker.gateway.caller import Caller
from claude_gatewayd.worker.gateway.recording.outside import asker
from claude_gatewayd.worker.gateway.recording.record import Recording, facts, usage_record
from claude_gatewayd.worker.relay.outgoing import KeptLines, outgoing_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_gatewayd.http1.flow import Source

_TIMES, _REPEATED = 100, 400
ANSWER = (  # as upstream.c gives it
    b'{"model":"claude-sonnet-4-5-20250929","id":"msg_01BENCH","type":"message","role":"assistant","content":[{"type":'
    b'"text","text":"Hello from the upstream of the benchmarks."}],"stop_reason":"end_turn","stop_sequence":null,'
    b'"usage":{"input_tokens":12,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":8,'
    b'"service_tier":"standard"}}'
)
ANSWER_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nrequest-id: req_011BENCH0000000000000001\r\n"
    b"anthropic-organization-id: 00000000-0000-4000-8000-000000000001\r\n"
    b"anthropic-ratelimit-unified-status: allowed\r\nanthropic-ratelimit-unified-5h-utilization: 0.25\r\n"
    b"anthropic-ratelimit-unified-5h-reset: 1900000000\r\nanthropic-ratelimit-unified-7d-utilization: 0.10\r\n"
    b"anthropic-ratelimit-unified-representative-claim: five_hour\r\ncontent-length: %d\r\n\r\n"
) % len(ANSWER)


class _Nobody:
    """A client's connection without a socket."""

    draining = close_after = write_paused = False

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.answer_source: Source | None = None

    @property
    def ends(self) -> tuple[object, object]:
        return None, None

    def send(self, data: object) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def need_task(self) -> None: ...

    def exchange_finished(self) -> None: ...

    def reset(self) -> None: ...

    def unacknowledged(self) -> int | None: ...


class _Lines:
    """What llhttp calls back, as the limit has it: each line is kept."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.lines.append(name.lower() + b": " + value)


async def main() -> None:
    """Measure, and print a table."""
    content = client.body(2)
    message = client.request(47000, content, {})
    text = message[: -len(content)]
    repeated, kept, origin = RepeatedHead(), KeptLines(), Origin.of("http://127.0.0.1:1")
    request = repeated.parse(text)
    fields = head.parse_response(ANSWER_HEAD).fields
    drop = head.HOP_BY_HOP
    nobody = _Nobody()
    who = asker(request.fields)

    def hold() -> None:
        exchange = Exchange(nobody, request)
        exchange.feed(content)
        exchange.hold_without_task(1 << 20, Budget(1 << 20), lambda: None)
        exchange.start(200, b"OK", [b"content-length: %d" % len(ANSWER)])
        exchange.write(ANSWER)
        exchange.finish()

    def call() -> Call:
        return Call(exchange, Caller(b"c", False, frozenset()), b"/v1/messages", b"/v1/messages", "digest", content)

    def record() -> None:
        made = call()
        made.route.meter.see_whole(ANSWER)
        ended = facts(Recording(1.0, 1.0, made, False, who, "oauth"), exchange, 200, 2.0)
        usage_record("0" * 25, "me@here", ended, lambda *_: 0.1)

    def deadlines() -> None:
        for _ in range(2):
            deadline.set(600.0)
            deadline.clear()

    exchange = Exchange(nobody, request)
    deadline = Deadline(nobody.loop, lambda: None)
    deadline.set(500.0)
    steps: tuple[tuple[str, Callable[[], object]], ...] = (
        ("limit: a request's head by llhttp", lambda: httptools.HttpRequestParser(_Lines()).feed_data(text)),
        ("limit: an answer's head by llhttp", lambda: httptools.HttpResponseParser(_Lines()).feed_data(ANSWER_HEAD)),
        ("a request's head, the first of its like", partial(head.parse_request, text)),
        ("a request's head, the same again", partial(repeated.parse, text)),
        ("an answer's head: llhttp, lines, framing", partial(head.parse_response, ANSWER_HEAD)),
        ("the head for the upstream", lambda: outgoing_request(request, b"/v1/messages", content, origin, kept=kept)),
        ("the head for the client", lambda: head.write_response(200, b"OK", fields.all_but(drop))),
        ("an exchange: body held, answer written", hold),
        ("model and stream of the body", partial(anthropic_request.read, content)),
        ("a call, its route and its meter", call),
        ("a usage record: facts, tokens, row", record),
        ("two deadlines, set and cleared", deadlines),
    )
    for name, step in steps:
        best = min(timeit.repeat(step, number=_TIMES, repeat=_REPEATED)) / _TIMES
        print(f"{name:<44}{1e6 * best:5.1f}")
    deadline.close()


if __name__ == "__main__":
    asyncio.run(main())
