"""What Anthropic's lane does at its defaults, minute by minute, on a loop whose time is ours."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest

from claude_gatewayd.anthropic.request import ParsedRequest
from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.config.model import Config
from claude_gatewayd.http1 import head
from claude_gatewayd.http1.server.exchange import Exchange
from claude_gatewayd.http1.upstream.pool import Pool
from claude_gatewayd.worker.assembly import anthropic_lane_settings
from claude_gatewayd.worker.gateway.authorization import Authorization
from claude_gatewayd.worker.gateway.call import Call, Refused
from claude_gatewayd.worker.gateway.caller import Caller
from claude_gatewayd.worker.gateway.known_credentials import KnownCredentials
from claude_gatewayd.worker.gateway.lanes.anthropic import AnthropicLane
from claude_gatewayd.worker.gateway.lanes.circuit import CircuitRules, Circuits
from claude_gatewayd.worker.gateway.strangers import Strangers
from claude_gatewayd.worker.relay.relay import Relay
from claude_gatewayd.worker.tally import Tally
from claude_gatewayd.worker.usage.budget import NO_BUDGET, BudgetState
from tests.fakes.in_process_anthropic import Anthropic, Says
from tests.support.connection import FakeConnection
from tests.support.leaping import on_leaping_time

if TYPE_CHECKING:
    from claude_gatewayd.worker.gateway.lanes.bedrock import BedrockLane

MODEL = "claude-opus-4-8"
LONG = "Extra usage is required for long context requests."


NO_KEYS: Any = None


class Bedrock:
    """Bedrock: it can answer all, but for what it *lacks*."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.lacks: str | None = None
        self.thinks = 0.0

    async def unsupported(self, call: Call) -> str | None:
        """Say what it lacks."""
        if self.thinks:
            await asyncio.sleep(self.thinks)
        return self.lacks

    async def answer(self, call: Call) -> int | BedrockFailure:
        """Answer."""
        self.asked.append(asyncio.get_running_loop().time())
        call.route.upstream = "bedrock"
        call.exchange.reply(200, b"OK", call.route.lines, b"{}")
        return 200


class TimedReply(NamedTuple):
    """What a client got, and *after* how many seconds."""

    status: int
    upstream: str
    fallback: str
    after: float


class Lane:
    """The lane at its defaults, between the two, and a caller who may spend."""

    def __init__(self, tmp_path: Path, *, has_bedrock: bool = True) -> None:
        settings = anthropic_lane_settings(Config())
        self.loop = asyncio.get_running_loop()
        self.anthropic, self.bedrock = Anthropic(), Bedrock()
        relay = Relay(Pool(self.anthropic.connect))
        authorization = Authorization(
            KnownCredentials(tmp_path / "known", "key"), Strangers("auto"), relay, settings.origin, NO_KEYS
        )
        # The circuit's clock is the loop's, from a day that is not long ago.
        circuits = Circuits(CircuitRules(1, 60.0), str, lambda: 1.8e9 + self.loop.time())
        fallback = cast("BedrockLane", self.bedrock) if has_bedrock else None
        tally = Tally(lambda: None)
        self.spent = 0.0
        self.lane = AnthropicLane(settings, relay, fallback, authorization, circuits, tally, lambda: None, self.budget)

    def budget(self) -> BudgetState:
        """Return what is spent of ten dollars."""
        return NO_BUDGET._replace(limit=10.0, spent=self.spent)

    async def ask(self, *headers: bytes, stream: bool = True) -> TimedReply:
        """Ask for a message."""
        lines = (b"Host: x", b"Content-Length: 2", *headers)
        request = b"POST /v1/messages HTTP/1.1\r\n%b\r\n\r\n" % b"\r\n".join(lines)
        client = FakeConnection()
        call = Call(
            Exchange(client, head.parse_request(request)),
            Caller(b"c", True, frozenset()),
            b"/v1/messages",
            b"/v1/messages",
            "digest",
            b"{}",
            ParsedRequest(MODEL, stream),
            MODEL,
        )
        started = self.loop.time()
        try:
            status = await self.lane.answer(call)
        except Refused as refused:
            status = refused.status
        return TimedReply(status, call.route.upstream, call.route.fallback, self.loop.time() - started)


@pytest.mark.parametrize("after", [100.0, 170.0, 240.0, 590.0])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("why", ["no bedrock", "only here"])
@on_leaping_time
async def test_a_slow_success_is_one(tmp_path: Path, why: str, stream: bool, after: float) -> None:
    """With nobody to step in: claude-code#64533, #66095. Today such a try was given up, and Anthropic asked twice."""
    lane = Lane(tmp_path, has_bedrock=why != "no bedrock")
    lane.bedrock.lacks = "web search"
    lane.anthropic.answers.append(Says(after=after))
    reply = await lane.ask(stream=stream)
    assert (reply.status, reply.upstream, reply.after) == (200, "anthropic", after)
    assert len(lane.anthropic.asked) == 1
    assert lane.anthropic.given_up == []


@pytest.mark.parametrize("why", ["no bedrock", "only here"])
@pytest.mark.parametrize(
    ("headers", "waits"),
    [((), 600), ((b"x-stainless-timeout: 600",), 600), ((b"x-stainless-timeout: 3000",), 3000),
     ((b"X-Stainless-Timeout: 60",), 600), ((b"x-stainless-timeout: 99999999",), 3600)],
)  # fmt: skip
@on_leaping_time
async def test_what_never_answers_is_waited_for_as_long_as_the_client_does(
    tmp_path: Path, headers: tuple[bytes, ...], waits: float, why: str
) -> None:
    lane = Lane(tmp_path, has_bedrock=why != "no bedrock")
    lane.bedrock.lacks = "web search"
    lane.anthropic.answers.append(Says(after=1e6))
    reply = await lane.ask(*headers)
    assert (reply.status, reply.after) == (504, waits)
    assert lane.anthropic.asked == [0.0]
    assert lane.anthropic.given_up == [waits]


@pytest.mark.parametrize(("after", "upstream", "waited"), [(170.0, "anthropic", 170.0), (240.0, "bedrock", 180.0)])
@on_leaping_time
async def test_with_bedrock_it_is_the_persons_choice(
    tmp_path: Path, after: float, upstream: str, waited: float
) -> None:
    lane = Lane(tmp_path)
    lane.anthropic.answers.append(Says(after=after))
    assert await lane.ask() == TimedReply(200, upstream, "timeout" if upstream == "bedrock" else "none", waited)
    assert len(lane.anthropic.asked) == 1


@pytest.mark.parametrize(("after", "status", "waited"), [(100.0, 200, 110.0), (240.0, 502, 120.0)])
@on_leaping_time
async def test_a_retry_is_over_with_the_time_for_retries(
    tmp_path: Path, after: float, status: int, waited: float
) -> None:
    """Then what Anthropic has said before is the answer, and Anthropic is not asked again."""
    lane = Lane(tmp_path, has_bedrock=False)
    lane.anthropic.answers += [Says(529), Says(502), Says(after=after)]
    reply = await lane.ask()
    assert (reply.status, reply.after) == (status, waited)
    assert lane.anthropic.asked == [0.0, 5.0, 10.0]


@on_leaping_time
async def test_an_answer_that_cannot_be_kept_has_its_status(tmp_path: Path) -> None:
    """Its body does not come, and meanwhile the time for retries is over."""
    lane = Lane(tmp_path, has_bedrock=False)
    lane.anthropic.answers.append(Says(529, after=114.0, has_body=False))
    reply = await lane.ask()
    assert (reply.status, reply.after) == (529, 124.0)
    assert len(lane.anthropic.asked) == 1


@on_leaping_time
async def test_the_try_before_money_has_its_time(tmp_path: Path) -> None:
    lane = Lane(tmp_path)
    lane.anthropic.answers += [Says(429), Says(after=170.0)]
    assert await lane.ask() == TimedReply(200, "anthropic", "none", 171.0)


@on_leaping_time
async def test_what_only_anthropic_can_do_is_told_at_once(tmp_path: Path) -> None:
    lane = Lane(tmp_path)
    lane.bedrock.lacks = "web search"
    for status in (408, 429, 500, 502, 503, 504, 522, 529, 530):
        lane.anthropic.asked.clear()
        lane.anthropic.answers.append(Says(status))
        reply = await lane.ask()
        assert reply == TimedReply(status, "anthropic", "none; Bedrock does not serve web search", 0.0)
        assert len(lane.anthropic.asked) == 1
    assert lane.bedrock.asked == []


# 429, and money.

ONE_REQUEST = (
    Says(429),
    Says(429, message=LONG),
    Says(429, message=LONG, headers=(b"anthropic-ratelimit-unified-status: rejected",)),
    Says(429, headers=(b"anthropic-ratelimit-requests-remaining: 3", b"x-should-retry: true")),
)


@pytest.mark.parametrize("says", ONE_REQUEST)
@on_leaping_time
async def test_a_429_that_passes_costs_nothing(tmp_path: Path, says: Says) -> None:
    """litellm#37344."""
    lane = Lane(tmp_path)
    for _ in range(20):
        lane.anthropic.answers.append(says)
        assert await lane.ask() == TimedReply(200, "anthropic", "none", 1.0)
    assert lane.bedrock.asked == []


@pytest.mark.parametrize("says", ONE_REQUEST)
@on_leaping_time
async def test_a_429_about_one_request_opens_no_circuit(tmp_path: Path, says: Says) -> None:
    lane = Lane(tmp_path)
    for _ in range(5):
        lane.anthropic.answers += [says, says]
        assert await lane.ask() == TimedReply(200, "bedrock", "429", 1.0)
    assert (await lane.ask()).upstream == "anthropic"


@on_leaping_time
async def test_a_429_that_would_take_longer_costs_money_once_a_minute(tmp_path: Path) -> None:
    lane = Lane(tmp_path)
    while lane.loop.time() < 600:
        lane.anthropic.answers.append(Says(429, headers=(b"retry-after: 7",)))
        assert (await lane.ask()).status == 200
        await asyncio.sleep(5)
    assert 9 <= len(lane.bedrock.asked) <= 10
    assert all(b - a >= 60 for a, b in zip(lane.bedrock.asked, lane.bedrock.asked[1:], strict=False))


@on_leaping_time
async def test_of_two_at_once_one_costs_money(tmp_path: Path) -> None:
    """Large bodies are looked at in a thread: meanwhile the other request must see that this one is bought."""
    lane = Lane(tmp_path)
    lane.bedrock.thinks = 0.01
    lane.anthropic.answers += [Says(429, headers=(b"retry-after: 7",))] * 4
    replies = await asyncio.gather(*(lane.ask() for _ in range(4)))
    assert sorted(reply.upstream for reply in replies) == ["anthropic", "anthropic", "anthropic", "bedrock"]


@on_leaping_time
async def test_where_a_second_try_is_no_use_there_is_none(tmp_path: Path) -> None:
    lane = Lane(tmp_path)
    lane.anthropic.answers.append(Says(429, headers=(b"x-should-retry: false",)))
    assert await lane.ask() == TimedReply(200, "bedrock", "429", 0.0)
    assert len(lane.anthropic.asked) == 1


RESET = b"2027-01-15T08:30:00Z"  # half an hour from where these clocks begin


@pytest.mark.parametrize(
    ("says", "fallback", "cause", "lasts"),
    [
        (Says(429, headers=(b"anthropic-ratelimit-unified-status: rejected",
                            b"anthropic-ratelimit-unified-reset: 1800001800")), "429", "limit reached", 300),
        (Says(429, headers=(b"anthropic-ratelimit-requests-remaining: 0",
                            b"anthropic-ratelimit-requests-reset: " + RESET)), "429", "limit reached", 300),
        (Says(400, message="You have reached your specified API usage limits. You will regain access on 2027-01-15 at "
                           "08:30 UTC."), "400 limit", "400 limit", 300),
        (Says(400, message="Your credit balance is too low to access the Anthropic API."), "400 billing", "400 billing",
         60),
        (Says(402), "402 billing", "402 billing", 60),
        (Says(400, message="This organization has been disabled."), "400 billing", "400 billing", 60),
    ],
)  # fmt: skip
@on_leaping_time
async def test_a_limit_of_the_account_opens_the_circuit(
    tmp_path: Path, says: Says, fallback: str, cause: str, lasts: float
) -> None:
    lane = Lane(tmp_path)
    lane.anthropic.answers.append(says)
    assert await lane.ask() == TimedReply(200, "bedrock", fallback, 0.0)
    await asyncio.sleep(lasts - 1)
    assert await lane.ask() == TimedReply(200, "bedrock", f"circuit open ({cause})", 0.0)
    assert len(lane.anthropic.asked) == 1
    await asyncio.sleep(1)
    assert (await lane.ask()).upstream == "anthropic"


@pytest.mark.parametrize("beta", [b"context-1m-2025-08-07", b"fast-mode-2026-02-01"])
@on_leaping_time
async def test_what_a_beta_asks_for_has_a_circuit_of_its_own(tmp_path: Path, beta: bytes) -> None:
    """Seen: two refusals of a long context sent plain requests to paid Bedrock."""
    lane = Lane(tmp_path)
    betas = b"anthropic-beta: oauth-2025-04-20," + beta
    for _ in range(2):
        lane.anthropic.answers += [Says(429, message=LONG)] * 2
        assert await lane.ask(betas) == TimedReply(200, "bedrock", "429", 1.0)
    assert await lane.ask(betas) == TimedReply(200, "bedrock", "circuit open (429)", 0.0)
    assert await lane.ask() == TimedReply(200, "anthropic", "none", 0.0)


@on_leaping_time
async def test_a_400_with_other_words_passes(tmp_path: Path) -> None:
    lane = Lane(tmp_path)
    lane.anthropic.answers.append(Says(400, message="max_tokens: too large"))
    assert await lane.ask() == TimedReply(400, "anthropic", "none", 0.0)
    assert lane.bedrock.asked == []


@on_leaping_time
async def test_beyond_the_budget_nothing_falls_back(tmp_path: Path) -> None:
    lane = Lane(tmp_path)
    lane.spent = 9.99
    lane.anthropic.answers.append(Says(529))
    assert (await lane.ask()).upstream == "bedrock"
    lane.spent = 10.0
    for _ in range(3):  # the circuit is open, and so Anthropic is asked
        lane.anthropic.answers.append(Says(401))
        reply = await lane.ask()
        assert (reply.status, reply.upstream) == (401, "anthropic")
    lane = Lane(tmp_path)
    lane.spent = 10.0
    lane.anthropic.answers += [Says(529)] * 4
    assert (await lane.ask()).fallback == "none; budget reached"
    assert lane.bedrock.asked == []
