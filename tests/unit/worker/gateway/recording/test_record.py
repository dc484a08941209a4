"""What a usage record says of a request, by the facts at its end."""

import json
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from claude_gatewayd.anthropic.request import ParsedRequest
from claude_gatewayd.http1 import head
from claude_gatewayd.http1.server.exchange import Exchange
from claude_gatewayd.ledger.token_counts import TokenCounts
from claude_gatewayd.ledger.usage_record import Billing, Kind, UsageRecord
from claude_gatewayd.worker.gateway import caller
from claude_gatewayd.worker.gateway.call import Call, Route
from claude_gatewayd.worker.gateway.recording.record import Recording, facts, kind_of, usage_record
from claude_gatewayd.worker.gateway.recording.recorder import UsageRecorder
from claude_gatewayd.worker.metering.meter import Meter

NOBODY: Any = None
ADVISOR = {"type": "advisor_message", "model": "claude-opus-5-5", "output_tokens": 5}
USAGE = {
    "input_tokens": 100,
    "output_tokens": 20,
    "cache_read_input_tokens": 30,
    "cache_creation_input_tokens": 90,
    "cache_creation": {"ephemeral_5m_input_tokens": 40, "ephemeral_1h_input_tokens": 50},
}
OAUTH = b"Authorization: Bearer sk-ant-oat01-invented"
SESSION = b"861d4012-438a-45fe-ac27-fe39c816bb00"
ADVISED = {**USAGE, "iterations": [ADVISOR]}
NOBODY_KNOWS = {**USAGE, "iterations": [{**ADVISOR, "model": "unheard-of"}]}
LINES = [
    b"Host: x",
    b"User-Agent: claude-cli/2.1.330 (external, cli)",
    b"X-Claude-Code-Session-Id: " + SESSION,
    b"x-claude-code-agent-id: a582",
    b"x-gateway-project: shop",
]


def metered(usage: object = USAGE, model: str = "claude-opus-5-5") -> Meter:
    meter = Meter()
    meter.see_whole(json.dumps({"id": "msg_1", "model": model, "usage": usage}).encode())
    return meter


def price(model: str, upstream: str, counts: TokenCounts) -> float | None:
    return None if model == "unheard-of" else counts.output / 100


def recorded(
    route: Route,
    status: int = 200,
    *,
    credential: bytes = OAUTH,
    path: bytes = b"/v1/messages",
    asked: str | None = "claude-opus-5-5",
    stream: bool = True,
    sent: int = 500,
    refused: bool = False,
    answered: bool = False,
) -> UsageRecord:
    exchange = Exchange(
        NOBODY, head.parse_request(b"\r\n".join([b"POST " + path + b" HTTP/1.1", *LINES, credential, b"", b""]))
    )
    exchange.sent, exchange.first_sent_at, exchange.answered = sent, 12.5, answered
    who = caller.identify(exchange.head.fields, "the-key")
    call = Call(exchange, who, path, path, parsed=ParsedRequest(asked, stream), model=asked or "", route=route)
    return usage_record("7", "me@here", facts(Recording(1e9, 12.0, call, refused), exchange, status, 14.0), price)


def test_a_stream_of_anthropics() -> None:
    record = recorded(Route(lane="anthropic", retries=2, meter=metered()))
    assert record == UsageRecord(
        id="7",
        started_at=1e9,
        gateway="me@here",
        kind="messages",
        status=200,
        session_id=SESSION.decode(),
        agent_id="a582",
        message_id="msg_1",
        project="shop",
        client="claude-cli",
        client_version="2.1.330",
        model_asked="claude-opus-5-5",
        model_served="claude-opus-5-5",
        lane="anthropic",
        upstream="anthropic",
        billing="subscription",
        input_tokens=100,
        output_tokens=20,
        cache_read_tokens=30,
        cache_write_5m_tokens=40,
        cache_write_1h_tokens=50,
        cost=0.2,
        first_event_ms=500.0,
        duration_ms=2000.0,
        answer_bytes=500,
        retries=2,
        is_stream=True,
    )


def test_a_fallback() -> None:
    route = Route("bedrock", "529", bedrock="direct", lane="anthropic", why="overloaded", model="eu.anthropic.claude-x")
    record = recorded(route)
    assert (record.upstream, record.transport, record.fallback, record.billing) == (
        "bedrock",
        "direct",
        "overloaded",
        "aws",
    )
    assert record.model_served == "eu.anthropic.claude-x", "as it is priced there, not as the answer has it"


def test_a_fallback_whose_answer_was_anthropics_after_all() -> None:
    route = Route(
        "anthropic", "529; x", bedrock="direct", lane="anthropic", why="overloaded", model="eu.x", meter=metered()
    )
    record = recorded(route)
    assert (record.transport, record.fallback, record.billing) == ("", "", "subscription")
    assert record.model_served == "claude-opus-5-5"


@pytest.mark.parametrize(
    ("route", "credential", "expected"),
    [
        (Route(), OAUTH, "subscription"),
        (Route(), b"authorization: bearer  sk-ant-oat01-invented", "subscription"),
        (Route(), b"x-api-key: sk-ant-api03-invented", "api"),
        (Route(), b"Authorization: Bearer sk-ant-api03-invented", "api"),
        (Route(), b"x-api-key: another", "other"),
        (Route("bedrock"), OAUTH, "aws"),
        (Route("litellm"), OAUTH, "other"),
        (Route("litellm", api_base="https://bedrock-runtime.eu-west-1.amazonaws.com"), OAUTH, "aws"),
    ],
)
def test_who_pays(route: Route, credential: bytes, expected: Billing) -> None:
    assert recorded(route, credential=credential).billing == expected


class Priced(NamedTuple):
    """A request whose cost is not simply its tokens'."""

    why: str
    record: UsageRecord
    cost: float | None


@pytest.mark.parametrize(
    "case",
    [
        Priced("no price is known", recorded(Route(meter=metered(model="unheard-of"))), None),
        Priced("an advisor has its own price", recorded(Route(meter=metered(ADVISED))), 0.25),
        Priced("and none is known", recorded(Route(meter=metered(NOBODY_KNOWS))), None),
        Priced("tokens were not named", recorded(Route(meter=metered(None))), None),
        Priced("nothing was read of the answer", recorded(Route()), None),
        Priced("an error uses none", recorded(Route(), 529), 0.0),
        Priced("the client left before any", recorded(Route(), 499, sent=0), 0.0),
        Priced("the client left after some", recorded(Route(meter=metered()), 499), 0.2),
        Priced("counting costs nothing", recorded(Route(), path=b"/v1/messages/count_tokens"), 0.0),
        Priced("refused", recorded(Route(), 403, refused=True), 0.0),
    ],
    ids=lambda case: case.why,
)
def test_cost(case: Priced) -> None:
    assert case.record.cost == case.cost


def test_a_client_that_left() -> None:
    record = recorded(Route(meter=metered()), 499)
    assert record.is_aborted
    assert record.first_event_ms == 500.0
    assert recorded(Route(), 499, sent=0).first_event_ms is None


def test_no_first_event_without_a_stream_or_of_an_error() -> None:
    assert recorded(Route(), stream=False).first_event_ms is None
    assert recorded(Route(), 429).first_event_ms is None


def test_refused_by_the_gateway_asks_nobody() -> None:
    record = recorded(Route(lane="anthropic"), 403, refused=True)
    assert (record.upstream, record.billing, record.model_served) == ("none", "", "")


def test_refused_before_the_caller_is_known() -> None:
    exchange = Exchange(
        NOBODY, head.parse_request(b"\r\n".join([b"POST /v1/messages HTTP/1.1", *LINES, OAUTH, b"", b""]))
    )
    record = usage_record("7", "me@here", facts(Recording(1e9, 12.0), exchange, 403, 14.0), price)
    assert (record.kind, record.status, record.upstream, record.client) == ("messages", 403, "none", "claude-cli")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        (b"POST", b"/v1/messages", "messages"),
        (b"GET", b"/v1/messages", "other"),
        (b"POST", b"/v1/messages/count_tokens", "count_tokens"),
        (b"POST", b"/v1/messages/batches", "other"),
        (b"POST", b"/v1/chat/completions", "openai"),
        (b"POST", b"/responses", "openai"),
        (b"GET", b"/v1/models", "models"),
        (b"GET", b"/v1/models/claude-opus-5-5", "models"),
        (b"POST", b"/bedrock/model/eu.anthropic.x/invoke", "invoke"),
        (b"POST", b"/bedrock/model/eu.anthropic.x/invoke-with-response-stream", "invoke"),
        (b"POST", b"/bedrock/model/eu.anthropic.x/count-tokens", "count_tokens"),
        (b"GET", b"/bedrock/inference-profiles?x=1", "models"),
        (b"GET", b"/api/hello", "other"),
    ],
)
def test_kinds(method: bytes, path: bytes, expected: Kind) -> None:
    assert kind_of(method, path) == expected


def recorder_for(take: Callable[[UsageRecord], None], worker: str = "0badcafe") -> UsageRecorder:
    recorder = UsageRecorder("me@here", worker, price)
    recorder.hand_to(take)
    return recorder


def ended(recorder: UsageRecorder, number: int = 0, sent: int = 0) -> Exchange:
    """Have a request end that nobody knew the caller of."""
    exchange = Exchange(NOBODY, head.parse_request(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number))
    exchange.sent = sent
    recorder.ended(recorder.begin(), exchange, 404)
    return exchange


def test_a_fault_is_logged_once_and_costs_no_request(caplog: pytest.LogCaptureFixture) -> None:
    taken: list[UsageRecord] = []
    recorder = recorder_for(taken.append)
    for _ in range(3):
        recorder.ended(recorder.begin(), NOBODY, 200)  # it has no head
        recorder.settle()
    assert not taken
    assert [record.message for record in caplog.records] == ["cannot record a request: this is a fault of the gateway"]


def test_a_fault_costs_no_other_record(caplog: pytest.LogCaptureFixture) -> None:
    taken: list[int] = []

    def take(record: UsageRecord) -> None:
        if record.answer_bytes == 3:
            raise ValueError
        taken.append(record.answer_bytes)

    recorder = recorder_for(take)
    for number in range(5):
        ended(recorder, number, sent=number)
    recorder.settle()
    assert taken == [0, 1, 2, 4]
    assert len(caplog.records) == 1


def test_records_are_made_some_at_a_time_or_when_somebody_asks() -> None:
    taken: list[UsageRecord] = []
    recorder = recorder_for(taken.append)
    for number in range(15):
        ended(recorder, number)
    assert not taken
    ended(recorder)
    assert len(taken) == 16
    ended(recorder)
    recorder.settle()
    recorder.settle()
    assert len(taken) == 17


def test_what_a_meter_may_hold_much_of_is_recorded_at_once() -> None:
    taken: list[UsageRecord] = []
    ended(recorder_for(taken.append), sent=100_000)
    assert [record.answer_bytes for record in taken] == [100_000]


def test_nothing_keeps_a_request_until_it_is_recorded() -> None:
    exchange = Exchange(NOBODY, head.parse_request(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
    who = caller.identify(exchange.head.fields, "the-key")
    held = sys.getrefcount(exchange), sys.getrefcount(exchange.head)
    kept = facts(Recording(1e9, 12.0, Call(exchange, who, b"/", b"/")), exchange, 200, 14.0)
    assert kept.route is not None
    assert (sys.getrefcount(exchange), sys.getrefcount(exchange.head)) == held


def test_ids_sort_by_time_and_are_unique() -> None:
    taken: list[UsageRecord] = []
    recorders = [recorder_for(taken.append, worker) for worker in ("00000001", "00000002")]
    for _ in range(50):
        for recorder in recorders:
            recorder.malformed(400)
    ids = [record.id for record in taken]
    assert len(set(ids)) == 100
    assert all(len(number) == 25 for number in ids)
    assert [number[:11] for number in ids] == sorted(number[:11] for number in ids)


def test_the_number_of_an_account_is_nowhere() -> None:
    arn = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/abc"
    known = recorded(Route("bedrock", lane="bedrock", model="claude-opus-5-5"), asked=arn)
    refused = recorded(Route("bedrock", lane="bedrock"), 403, asked=arn)
    assert (known.model_asked, known.model_served) == ("claude-opus-5-5", "claude-opus-5-5")
    assert (refused.model_asked, refused.model_served) == ("abc", "")


def test_an_upstream_that_answers_499_is_not_a_client_that_left() -> None:
    assert recorded(Route(), 499, answered=True).is_aborted is False
    assert recorded(Route(), 499).is_aborted is True
