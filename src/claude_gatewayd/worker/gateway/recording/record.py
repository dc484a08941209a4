"""One usage record of a request that has ended. Pure: no clock, and nothing is asked."""

from typing import Final, Protocol

import msgspec

from claude_gatewayd.anthropic import model_list
from claude_gatewayd.anthropic.request import COUNT_TOKENS, MESSAGES
from claude_gatewayd.http1.server.exchange import Exchange
from claude_gatewayd.ledger.sums import KINDS as TOKEN_KINDS
from claude_gatewayd.ledger.token_counts import TokenCounts
from claude_gatewayd.ledger.usage_record import Billing, Kind, UsageRecord
from claude_gatewayd.worker.gateway.call import Call, Route
from claude_gatewayd.worker.gateway.caller import Form
from claude_gatewayd.worker.gateway.lanes import bedrock_mode
from claude_gatewayd.worker.gateway.lanes.litellm import ROUTES
from claude_gatewayd.worker.gateway.recording import outside
from claude_gatewayd.worker.gateway.recording.outside import Asker
from claude_gatewayd.worker.tally import CLIENT_GONE

_KINDS: Final[dict[bytes, Kind]] = {
    MESSAGES: "messages",
    COUNT_TOKENS: "count_tokens",
    **dict.fromkeys(ROUTES, "openai"),
}
_BILLED: Final[dict[Form, Billing]] = {"oauth": "subscription", "api-key": "api", "other": "other"}
_NO_TOKENS: Final = TokenCounts()
_NO_ANSWER: Final = "none"


class Cost(Protocol):
    """Says what tokens cost in USD, by list price; None where it knows no price for a model."""

    def __call__(self, model: str, upstream: str, counts: TokenCounts, /) -> float | None: ...


class Recording(msgspec.Struct):
    """A request that is being handled.

    *began* is by the monotonic clock. *call* is None until its caller is known. *refused*: the gateway refused it, and
    no upstream was asked. *asker* and the *form* of its credential are None where nobody has looked yet. *key_name* is
    that of the named key with which it came.
    """

    started_at: float
    began: float
    call: Call | None = None
    refused: bool = False
    asker: Asker | None = None
    form: Form | None = None
    key_name: str = ""


class Ended(msgspec.Struct, gc=False):
    """What the record of a request that has ended is made of, without the request: that has its body.

    *ended* and *first_sent_at* are by the monotonic clock. *route* is None if nobody knew its caller yet; else *asked*,
    *is_streamed* and *model* are its call's.
    """

    started_at: float
    began: float
    ended: float
    status: int
    method: bytes
    path: bytes
    asker: Asker
    refused: bool
    received: int
    sent: int
    first_sent_at: float
    answered: bool
    key_name: str = ""
    form: Form | None = None
    route: Route | None = None
    asked: str | None = None
    is_streamed: bool | None = None
    model: str = ""


def facts(recording: Recording, exchange: Exchange, status: int, ended: float) -> Ended:
    """Return the facts of a request that *ended*, by the monotonic clock, with *status*."""
    head, call, asker = exchange.head, recording.call, recording.asker
    if asker is None:
        asker = outside.asker(head.fields)
    if call is None:
        path = head.target.partition(b"?")[0]
        return Ended(
            recording.started_at, recording.began, ended, status, head.method, path, asker, recording.refused,
            exchange.received, exchange.sent, exchange.first_sent_at, exchange.answered, recording.key_name,
        )  # fmt: skip
    parsed = call.parsed
    return Ended(  # by position, in the order of its fields: by name takes a microsecond more
        recording.started_at, recording.began, ended, status, head.method, call.path, asker, recording.refused,
        exchange.received, exchange.sent, exchange.first_sent_at, exchange.answered, recording.key_name,
        recording.form or call.caller.form, call.route, parsed.model, parsed.stream, call.model,
    )  # fmt: skip


def usage_record(number: str, gateway: str, facts: Ended, cost: Cost) -> UsageRecord:
    """Return the record of a request."""
    route, status, path = facts.route, facts.status, facts.path
    kind = kind_of(facts.method, path)
    session_id, agent_id, project, client, version, address = facts.asker
    duration = (facts.ended - facts.began) * 1e3
    if route is None:
        return UsageRecord(
            id=number,
            started_at=facts.started_at,
            gateway=gateway,
            kind=kind,
            status=status,
            session_id=session_id,
            agent_id=agent_id,
            project=project,
            client=client,
            client_version=version,
            upstream=_NO_ANSWER,
            cost=0.0,
            duration_ms=duration,
            request_bytes=facts.received,
            answer_bytes=facts.sent,
            is_aborted=status == CLIENT_GONE,
            key_name=facts.key_name,
            address=address,
        )
    asked = facts.asked or ""
    if not asked or asked.startswith("arn:"):  # which has the number of an account in it
        asked = route.model or asked.rpartition("/")[2]
    upstream = _NO_ANSWER if facts.refused else route.upstream
    is_bedrock = upstream == "bedrock"
    counts, served, message_id, advised = route.meter.read()
    is_good = status < 400
    is_gone = status == CLIENT_GONE and not facts.answered  # an upstream may answer with that number, too
    if is_bedrock:
        served = route.model or served
    uses_tokens = kind in TOKEN_KINDS
    if not served and is_good and uses_tokens:
        served = facts.model
    is_stream = (facts.is_streamed is True and uses_tokens) or path.endswith(b"/invoke-with-response-stream")
    if counts is None:
        price = None if is_good and uses_tokens else 0.0
        counts = _NO_TOKENS
    else:
        # a model of the person's own may answer by its provider's name
        price = cost(facts.model if upstream == "litellm" else served, upstream, counts)
        for advisor, more in advised:  # at the price of a model of its own
            other = cost(advisor, upstream, more)
            price = price + other if price is not None and other is not None else None
    asked_text, first_event_ms = outside.text(asked), None
    if is_stream and facts.sent and (is_good or is_gone):
        first_event_ms = (facts.first_sent_at - facts.began) * 1e3
    return UsageRecord(  # by position, in the order of its fields: by name takes a microsecond more
        number,
        facts.started_at,
        gateway,
        kind,
        status,
        session_id,
        agent_id,
        message_id,  # the meter has bounded it
        project,
        client,
        version,
        asked_text,
        asked_text if served == asked else outside.text(served),
        route.lane,
        upstream,
        route.bedrock if is_bedrock else "",
        route.why if is_bedrock else "",
        _billing(upstream, facts.form, route),
        counts.input,
        counts.output,
        counts.cache_read,
        counts.cache_write_5m,
        counts.cache_write_1h,
        price,
        first_event_ms,
        duration,
        facts.received,
        facts.sent,
        route.retries,
        is_stream,
        is_gone,
        facts.key_name,
        address,
    )


def kind_of(method: bytes, path: bytes) -> Kind:
    """Return which sort of endpoint a path is."""
    if method == b"POST" and (kind := _KINDS.get(path)):
        return kind
    if path.startswith(bedrock_mode.PREFIX):
        if path.endswith(b"/count-tokens"):
            return "count_tokens"
        return "models" if path.startswith(b"/bedrock/inference-profiles") else "invoke"
    return "models" if method == b"GET" and model_list.model_of(path) is not None else "other"


def _billing(upstream: str, form: Form | None, route: Route) -> Billing:
    if upstream == "anthropic":
        return _BILLED.get(form, "") if form is not None else ""
    if upstream == "litellm":
        return "aws" if ".amazonaws.com" in route.api_base else "other"
    return "aws" if upstream == "bedrock" else ""
