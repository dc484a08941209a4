"""Usual requests are answered without a task; whatever is not usual goes on in one, and nothing is sent twice."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from claude_gatewayd.anthropic import request as anthropic_request
from claude_gatewayd.config.model import Config
from claude_gatewayd.http1 import framing
from claude_gatewayd.http1.flow import Budget
from claude_gatewayd.http1.server.connection import Limits, ServerConnection
from claude_gatewayd.http1.server.connections import Connections
from claude_gatewayd.http1.server.exchange import Exchange
from claude_gatewayd.http1.upstream.connection import UpstreamConnection
from claude_gatewayd.http1.upstream.pool import Pool
from claude_gatewayd.worker.assembly import anthropic_lane_settings
from claude_gatewayd.worker.gateway.authorization import Authorization
from claude_gatewayd.worker.gateway.call import NO_RETRY, Call, Refused
from claude_gatewayd.worker.gateway.introduction import Introduction, Introductions, Remembered
from claude_gatewayd.worker.gateway.known_credentials import KnownCredentials
from claude_gatewayd.worker.gateway.lanes.anthropic import AnthropicLane
from claude_gatewayd.worker.gateway.lanes.circuit import CircuitRules, Circuits
from claude_gatewayd.worker.gateway.recording.record import Recording
from claude_gatewayd.worker.gateway.recording.recorder import UsageRecorder
from claude_gatewayd.worker.gateway.straight.path import Straight, StraightPath
from claude_gatewayd.worker.gateway.strangers import Strangers
from claude_gatewayd.worker.relay.relay import Relay
from claude_gatewayd.worker.tally import Tally
from tests.fakes.transport import Wire, settle
from tests.support.leaping import on_leaping_time

NO_KEYS: Any = None
BODY = b'{"model":"claude-opus-5-5","max_tokens":9,"messages":[],"stream":false}'
HEAD = b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nx-api-key: sk-x\r\nContent-Length: %d\r\n\r\n" % len(BODY)
ASK = HEAD + BODY
BUDGET = 10_000
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
ANSWERED = OK.replace(b"\r\n\r\n", b"\r\nx-gateway-upstream: anthropic\r\nx-gateway-fallback: none\r\n\r\n")
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
START = b"event: message_start\ndata: {}\n\n"
STOP = b"event: message_stop\ndata: {}\n\n"
ERROR = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"x"}}\n\n'
REFUSED = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Gate:
    """What decides: all may pass, and all goes to Anthropic, unless a test says otherwise."""

    def __init__(self, tmp_path: Path, tally: Tally, recorder: UsageRecorder, *, looks: bool) -> None:
        self.handed: list[Straight] = []  # to a task
        self.statuses: list[int] = []
        self.alias: str | None = None
        self.lane = "anthropic"
        self.refusal: Refused | None = None
        self.has_named_keys = False
        known = KnownCredentials(tmp_path / "known", "key")
        self._introductions = Introductions(frozenset({"localhost"}), "key", known, None)
        self._tally = tally
        settings = anthropic_lane_settings(Config())
        self.pool = Pool(self._connect)
        relay = Relay(self.pool)
        authorization = Authorization(known, Strangers("auto"), relay, settings.origin, NO_KEYS)
        circuits = Circuits(CircuitRules(1, 60.0), str)
        bedrock: Any = Bedrock() if looks else None
        no_budget: Any = None
        self.anthropic = AnthropicLane(
            settings, relay, bedrock, authorization, circuits, tally, lambda: None, no_budget
        )
        self.new: list[Wire] = []

    async def _connect(self) -> UpstreamConnection:
        connection = UpstreamConnection()
        self.new.append(Wire(connection))
        return connection

    def messages_at(self, exchange: Exchange, remembered: Remembered) -> bytes:
        self._introductions.of(exchange.head, exchange.connection, remembered)
        return b"/v1/messages" if exchange.head.target == b"/v1/messages" else b""

    def asks_for_key(self, introduction: Introduction) -> bool:
        return self.has_named_keys

    def admitted(self, exchange: Exchange, path: bytes, target: bytes, introduction: Introduction) -> Call:
        if self.refusal is not None:
            raise self.refusal
        return Call(exchange, introduction.caller, path, target, "digest", facts=introduction.facts)

    def parse(self, call: Call) -> str | None:
        call.parsed = anthropic_request.read(call.body or b"")
        call.model = call.parsed.model or ""
        return self.alias

    def lane_of(self, call: Call) -> str:
        return self.lane if call.model else ""

    def ended(self, _exchange: Exchange, _recording: Recording, status: int) -> None:
        self.statuses.append(status)

    def cut_off(self, _exchange: Exchange, _recording: Recording) -> None:
        self.statuses.append(499)

    async def handle(self, exchange: Exchange, _remembered: Remembered, straight: Straight | None) -> None:
        assert straight is not None
        self.handed.append(straight)
        try:
            status = await straight.answer()
            if not status:
                exchange.reply(418, b"From the beginning", [], bytes(await exchange.hold(BUDGET, Budget(0))))
            self.ended(exchange, straight.recording, status or 418)
        except Refused as refused:
            exchange.reply(refused.status, b"Refused", [], b"")
            self.ended(exchange, straight.recording, refused.status)
        except asyncio.CancelledError:
            self.cut_off(exchange, straight.recording)
            raise
        finally:
            self._tally.under_way -= 1


class Bedrock:
    """Bedrock: it can answer nothing."""

    async def unsupported(self, _call: Call) -> str:
        return "this"


class Scene:
    """A client, the path, and an idle connection to Anthropic."""

    def __init__(self, tmp_path: Path, *, looks: bool = False, idle: bool = True) -> None:
        self.tally = Tally(lambda: None)
        recorder = UsageRecorder("me@here", "00000000", lambda *_: None)
        self.budget = Budget(BUDGET)
        self.gate = Gate(tmp_path, self.tally, recorder, looks=looks)
        path = StraightPath(self.gate, self.gate.anthropic, recorder, self.tally, BUDGET, self.budget)
        remembered = Remembered()
        self.connection = ServerConnection(
            self._handle, Connections(lambda _: b"refused"), Limits(), lambda exchange: path.begin(exchange, remembered)
        )
        self.client = Wire(self.connection)
        upstream = UpstreamConnection()
        self.upstream = Wire(upstream)
        if idle:
            upstream.reusable = True
            self.gate.pool.release(upstream)

    async def _handle(self, exchange: Exchange) -> None:
        exchange.reply(404, b"Not straight", [], b"")

    async def ask(self, *pieces: bytes) -> None:
        await settle()
        await self.client.say(pieces or (ASK,))

    def is_over(self) -> bool:
        """Say whether nothing is left of any request."""
        return (self.tally.under_way, self.tally.streams, self.budget.left) == (0, 0, BUDGET)


Act = Callable[[Scene], Coroutine[Any, Any, None]]


@on_leaping_time
async def test_a_usual_request_needs_no_task(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    for number in range(1, 4):
        await scene.ask()
        assert scene.upstream.heard.count(b"POST") == scene.upstream.heard.count(BODY) == number
        await scene.upstream.say([OK])
        assert scene.client.heard == ANSWERED * number
        assert scene.is_over()
    assert (scene.gate.handed, scene.gate.statuses, scene.gate.new) == ([], [200] * 3, [])


@pytest.mark.parametrize("answer", [OK, STREAM_HEAD + chunk(START) + chunk(STOP) + chunk(b"")], ids=["whole", "stream"])
@pytest.mark.parametrize("looks", [False, True])
def test_however_its_bytes_come(tmp_path: Path, answer: bytes, looks: bool) -> None:
    """But for a stream that may begin with an error, and comes in more than two pieces: there a task waits."""

    @on_leaping_time
    async def live() -> None:
        for size in (1, 3, 40, 1000):
            scene = Scene(tmp_path, looks=looks)
            await scene.ask(*(ASK[at : at + size] for at in range(0, len(ASK), size)))
            await scene.upstream.say([answer[at : at + size] for at in range(0, len(answer), size)])
            body = scene.client.heard.partition(b"\r\n\r\n")[2]
            assert scene.client.heard.startswith(b"HTTP/1.1 200 OK\r\n")
            assert body == b"{}" if answer is OK else framing.Chunked().feed(body) == (len(body), START + STOP)
            assert (scene.gate.statuses, scene.is_over()) == ([200], True)
            if answer is OK or not looks or size == 1000:
                assert scene.gate.handed == []

    live()


async def refuses(scene: Scene) -> None:
    await scene.upstream.say([REFUSED])
    assert b"HTTP/1.1 400 " in scene.client.heard
    assert scene.gate.statuses == [400]


async def refuses_without_a_body_yet(scene: Scene) -> None:
    await scene.upstream.say([REFUSED[:-2]])
    assert len(scene.gate.handed) == 1  # at once
    await refuses_rest(scene)


async def refuses_rest(scene: Scene) -> None:
    await scene.upstream.say([b"{}"])
    assert scene.gate.statuses == [400]


async def dies(scene: Scene) -> None:
    await scene.upstream.vanish()
    (new,) = scene.gate.new
    assert new.heard.count(b"POST") == 1
    await new.say([OK])
    assert (scene.client.heard, scene.gate.statuses) == (ANSWERED, [200])


async def sends_an_early_hint(scene: Scene) -> None:
    await scene.upstream.say([b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", OK])
    assert scene.client.heard.startswith(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK")
    assert scene.gate.statuses == [200]


@pytest.mark.parametrize("act", [refuses, refuses_without_a_body_yet, dies, sends_an_early_hint])
def test_what_is_unusual_goes_on_in_a_task(tmp_path: Path, act: Act) -> None:
    @on_leaping_time
    async def live() -> None:
        scene = Scene(tmp_path)
        await scene.ask()
        await act(scene)
        assert len(scene.gate.handed) == 1
        assert scene.is_over()

    live()


@on_leaping_time
async def test_a_first_event_is_looked_at_where_another_could_answer(tmp_path: Path) -> None:
    scene = Scene(tmp_path, looks=True)
    await scene.ask()
    await scene.upstream.say([STREAM_HEAD])
    assert scene.client.heard == b""
    await scene.upstream.say([chunk(ERROR), chunk(b"")])
    assert len(scene.gate.handed) == 1
    await asyncio.sleep(3.0)
    assert scene.client.heard.count(ERROR) == 1
    assert scene.gate.statuses == [200]
    assert scene.is_over()


@on_leaping_time
async def test_a_stream_that_begins_late_is_waited_for_in_a_task(tmp_path: Path) -> None:
    scene = Scene(tmp_path, looks=True)
    await scene.ask()
    await scene.upstream.say([STREAM_HEAD])
    assert scene.gate.handed == []
    await asyncio.sleep(1.0)
    assert len(scene.gate.handed) == 1
    await scene.upstream.say([chunk(START)])
    assert START in scene.client.heard
    assert scene.tally.streams == 1
    await scene.upstream.say([chunk(STOP), chunk(b"")])
    assert scene.gate.statuses == [200]
    assert scene.is_over()


@pytest.mark.parametrize(
    ("said", "is_reset"),
    [(b"", False), (OK[:-1], True), (STREAM_HEAD + chunk(START), True)],
    ids=["nothing", "half", "a stream"],
)
def test_a_client_that_leaves(tmp_path: Path, said: bytes, is_reset: bool) -> None:
    @on_leaping_time
    async def live() -> None:
        scene = Scene(tmp_path)
        await scene.ask()
        await scene.upstream.say([said] if said else [])
        await scene.client.vanish()
        assert scene.upstream.closed
        assert (scene.gate.handed, scene.gate.statuses) == ([], [499])
        assert scene.is_over()
        assert is_reset == bool(scene.client.heard)

    live()


@on_leaping_time
async def test_a_client_that_leaves_before_its_body_is_here(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    await scene.ask(ASK[:-1])
    assert scene.tally.under_way == 1
    await scene.client.vanish()
    assert (scene.gate.handed, scene.gate.statuses, scene.upstream.heard) == ([], [499], b"")
    assert scene.is_over()


@pytest.mark.parametrize("said", [OK[:-1], STREAM_HEAD + chunk(START)], ids=["half", "a stream"])
def test_an_answer_that_breaks_off_is_not_whole(tmp_path: Path, said: bytes) -> None:
    @on_leaping_time
    async def live() -> None:
        scene = Scene(tmp_path)
        await scene.ask()
        await scene.upstream.say([said])
        await scene.upstream.vanish()
        if said.startswith(OK[:-1]):
            assert scene.client.closed
        else:
            assert b"event: error\n" in scene.client.heard
            assert scene.client.heard.endswith(b"0\r\n\r\n")
        assert (scene.gate.handed, scene.gate.statuses) == ([], [200])
        assert scene.tally.snapshot()["anthropic"]["state"] == "failing"
        assert scene.is_over()

    live()


def alias(gate: Gate) -> None:
    gate.alias = "claude-other"


def bedrock(gate: Gate) -> None:
    gate.lane = "bedrock"


@pytest.mark.parametrize("change", [alias, bedrock])
def test_what_goes_elsewhere_is_answered_from_the_beginning(tmp_path: Path, change: Callable[[Gate], None]) -> None:
    @on_leaping_time
    async def live() -> None:
        scene = Scene(tmp_path)
        change(scene.gate)
        await scene.ask()
        assert b"418 From the beginning" in scene.client.heard
        assert scene.client.heard.endswith(BODY)
        assert scene.upstream.heard == b""
        assert (len(scene.gate.handed), scene.gate.statuses) == (1, [418])
        assert scene.is_over()

    live()


@on_leaping_time
async def test_without_an_idle_connection_too(tmp_path: Path) -> None:
    scene = Scene(tmp_path, idle=False)
    await scene.ask()
    assert scene.gate.statuses == [418]
    assert scene.is_over()


@on_leaping_time
async def test_who_is_refused_sends_no_body_first(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.gate.refusal = Refused(401, "no", NO_RETRY)
    await scene.ask(HEAD)
    assert scene.client.heard.startswith(b"HTTP/1.1 401 ")
    assert scene.gate.statuses == [401]
    assert scene.is_over()


@on_leaping_time
async def test_other_requests_are_not_begun(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    for other in (
        ASK.replace(b"/v1/messages", b"/v1/files"),
        ASK.replace(b"Host", b"Expect: 100-continue\r\nHost"),
        HEAD.replace(b"%d" % len(BODY), b"%d" % (BUDGET + 1)),
    ):
        await scene.ask(other)
        assert scene.client.heard.count(b"404 Not straight") == 1, other
        scene = Scene(tmp_path)
    scene.gate.has_named_keys = True
    await scene.ask()
    assert b"404 Not straight" in scene.client.heard


@on_leaping_time
async def test_what_comes_behind_a_request_waits_for_its_answer(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    await scene.ask(ASK + ASK + ASK)
    for number in range(1, 4):
        assert scene.upstream.heard.count(b"POST") == number
        await scene.upstream.say([OK])
        await settle()
    assert scene.client.heard == ANSWERED * 3
    assert scene.is_over()


@on_leaping_time
async def test_a_slow_client_holds_its_answer_up(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    await scene.ask()
    scene.client.slow = True
    size = 300_000
    await scene.upstream.say([OK[:-2].replace(b": 2", b": %d" % size), b"x" * 100_000])
    assert not scene.upstream.is_reading()
    scene.client.read_on()
    assert scene.upstream.is_reading()
    await scene.upstream.say([b"x" * 200_000])
    assert scene.client.heard.count(b"x" * 1000) == size // 1000
    assert scene.gate.statuses == [200]
    assert scene.is_over()


@on_leaping_time
async def test_a_fault_of_ours_ends_in_a_reset(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(tmp_path)

    def fails(*_: object) -> None:
        raise ArithmeticError

    monkeypatch.setattr(scene.gate, "parse", fails)
    await scene.ask()
    assert scene.client.closed
    assert "a fault of the gateway" in caplog.text
    assert scene.is_over()


@on_leaping_time
async def test_a_silent_upstream_has_its_time_once(tmp_path: Path) -> None:
    """A task takes over after a few seconds, and the time that is left is that of the whole wait."""
    scene = Scene(tmp_path)
    await scene.ask()
    await asyncio.sleep(599.0)  # [anthropic] response_timeout is 600
    assert (len(scene.gate.handed), scene.gate.statuses) == (1, [])
    await asyncio.sleep(2.0)
    assert scene.gate.statuses == [504]
    assert scene.upstream.heard.count(b"POST") == 1
    assert scene.is_over()


@on_leaping_time
async def test_where_much_is_under_way_steps_are_taken_together(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.tally.under_way = 10
    await settle()
    scene.connection.data_received(ASK)
    assert scene.upstream.heard == b""
    await settle()
    assert scene.upstream.heard.count(b"POST") == 1
    await scene.upstream.say([OK])
    assert scene.client.heard == ANSWERED
    scene.connection.data_received(ASK)
    scene.connection.connection_lost(None)  # before its turn
    await settle()
    assert scene.upstream.heard.count(b"POST") == 1
    assert (scene.gate.handed, scene.gate.statuses, scene.tally.under_way) == ([], [200, 499], 10)
