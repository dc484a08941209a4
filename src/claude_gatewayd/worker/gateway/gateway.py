"""Handle one request: check it, identify the caller, and choose the lane. The lanes do the rest."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from claude_gatewayd.anthropic import errors as anthropic_errors
from claude_gatewayd.anthropic import model_list
from claude_gatewayd.anthropic import request as anthropic_request
from claude_gatewayd.anthropic.request import COUNT_TOKENS, MESSAGES
from claude_gatewayd.bedrock import models as bedrock_models
from claude_gatewayd.http1 import content_coding, head
from claude_gatewayd.http1.flow import Budget, OverBudget
from claude_gatewayd.http1.head import Malformed
from claude_gatewayd.http1.server.exchange import BodyCut, BodyTooLarge, Exchange
from claude_gatewayd.ledger.keys.named_key import NamedKey
from claude_gatewayd.ledger.sums import KINDS as TOKEN_KINDS
from claude_gatewayd.worker.gateway import caller as callers
from claude_gatewayd.worker.gateway import guard
from claude_gatewayd.worker.gateway import own_pages as pages
from claude_gatewayd.worker.gateway.authorization import Authorization
from claude_gatewayd.worker.gateway.call import JSON, NO_RETRY, NO_UPSTREAM, Call, Refused
from claude_gatewayd.worker.gateway.caller import Form
from claude_gatewayd.worker.gateway.dashboard import HERE, DashboardLane
from claude_gatewayd.worker.gateway.guard import Rejection
from claude_gatewayd.worker.gateway.introduction import Introduction, Introductions, Remembered
from claude_gatewayd.worker.gateway.keys.admission import Admission
from claude_gatewayd.worker.gateway.known_credentials import KnownCredentials
from claude_gatewayd.worker.gateway.lanes import bedrock_mode
from claude_gatewayd.worker.gateway.lanes.anthropic import AnthropicLane
from claude_gatewayd.worker.gateway.lanes.bedrock import BedrockLane, cannot_count
from claude_gatewayd.worker.gateway.lanes.bedrock_mode import BedrockModeLane
from claude_gatewayd.worker.gateway.lanes.litellm import ROUTES, LiteLLMLane
from claude_gatewayd.worker.gateway.lanes.models import ModelsLane
from claude_gatewayd.worker.gateway.own_pages import OwnPages, refused_by_guard
from claude_gatewayd.worker.gateway.recording.record import Recording, kind_of
from claude_gatewayd.worker.gateway.recording.recorder import UsageRecorder
from claude_gatewayd.worker.gateway.remote.client_address import ProxyTrust
from claude_gatewayd.worker.gateway.straight.path import Straight, StraightPath
from claude_gatewayd.worker.gateway.tickets import Tickets
from claude_gatewayd.worker.tally import CLIENT_GONE, Tally

_READ = frozenset((MESSAGES, COUNT_TOKENS))
_HELLO = frozenset((b"/", b"/api/hello"))  # requested by Claude Code to open its connection early
_PREFIX = b"/anthropic"  # of older base URLs: http://127.0.0.1:47000/anthropic
_NOT_ACCEPTED: dict[Form, str] = {
    "oauth": "cannot serve: this gateway does not pass on the credentials of subscriptions ([anthropic] accept); "
    "set ANTHROPIC_API_KEY, and log out of the subscription with /logout",
    "api-key": "cannot serve: this gateway does not pass on API keys ([anthropic] accept); "
    "unset ANTHROPIC_API_KEY, and log in with `claude` and /login",
}
_REFUSALS = (Refused, BodyCut, BodyTooLarge, OverBudget)
_OAUTH_BETA = b"oauth-2025-04-20"


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """The gateway's settings. If *remote*, every caller must send the *key*.

    *proxies* is None if not. Credentials of the forms in *refuses* are not passed on.
    """

    hosts: frozenset[str]
    key: str
    remote: bool
    base_url: str
    aliases: Mapping[str, str]
    max_body: int
    refuses: frozenset[Form] = frozenset()
    proxies: ProxyTrust | None = None


@dataclass(frozen=True, slots=True)
class Lanes:
    """Where a request can go. *bedrock* and *bedrock_mode* are None without Bedrock; *without_bedrock* says why.

    *models* is None where Bedrock does not step in.
    """

    anthropic: AnthropicLane
    bedrock: BedrockLane | None
    bedrock_mode: BedrockModeLane | None
    litellm: LiteLLMLane
    models: ModelsLane | None
    without_bedrock: str
    dashboard: DashboardLane


class Gateway:
    """Answer requests: callers' by `handle`, those that LiteLLM makes for a caller by `handle_private`."""

    def __init__(
        self,
        settings: GatewaySettings,
        lanes: Lanes,
        authorization: Authorization,
        known: KnownCredentials,
        tickets: Tickets,
        budget: Budget,
        tally: Tally,
        recorder: UsageRecorder,
        own_pages: OwnPages,
        admission: Admission,
    ) -> None:
        self._settings = settings
        self._lanes = lanes
        self._authorization = authorization
        self._known = known
        self._introductions = Introductions(settings.hosts, settings.key, known, settings.proxies)
        self._tickets = tickets
        self._budget = budget
        self._decoding = asyncio.Lock()
        self._tally = tally
        self._recorder = recorder
        self._pages = own_pages
        self._admission = admission

    def straight_path(self) -> StraightPath:
        """Return what begins requests that need no task; `handle` goes on where they do."""
        most = self._settings.max_body
        return StraightPath(self, self._lanes.anthropic, self._recorder, self._tally, most, self._budget)

    async def handle(self, exchange: Exchange, remembered: Remembered, straight: Straight | None = None) -> None:
        """Answer one request, whatever happens. *remembered* is its connection's. It may have been begun *straight*."""
        tally = self._tally
        if straight is None:
            tally.under_way += 1
        recording = self._recorder.begin() if straight is None else straight.recording
        try:
            try:
                status = await straight.answer() if straight is not None else 0
                status = status or await self._answer(exchange, recording, remembered)
            except _REFUSALS as problem:
                status = self._refuse(exchange, recording, problem)
            if status:
                self.ended(exchange, recording, status)
        except asyncio.CancelledError:
            self.cut_off(exchange, recording)
            raise
        except Exception:  # the connection logs it
            self.ended(exchange, recording, exchange.status if exchange.answered else 500)
            raise
        finally:
            tally.under_way -= 1

    def cut_off(self, exchange: Exchange, recording: Recording) -> None:
        """Count and record a request whose client has gone."""
        if exchange.answered or not exchange.finished:
            self.ended(exchange, recording, exchange.status if exchange.answered else CLIENT_GONE)

    def ended(self, exchange: Exchange, recording: Recording, status: int) -> None:
        """Count and record a request that has ended."""
        self._tally.answered(status)
        self._recorder.ended(recording, exchange, status)

    async def handle_private(self, exchange: Exchange) -> None:
        """Answer a request of LiteLLM's. It is part of a caller's request, which is counted already."""
        try:
            await self._answer_ticket(exchange)
        except _REFUSALS as problem:
            self._refuse(exchange, self._recorder.begin(), problem)

    def _refuse(
        self, exchange: Exchange, recording: Recording, problem: Refused | BodyCut | BodyTooLarge | OverBudget
    ) -> int:
        """Answer a request that is refused with an error. Return the status."""
        refused = problem if isinstance(problem, Refused) else self._body_refused(problem)
        lines, text = pages.error(_path(guard.authority_of(exchange.head.target)[1])[0], refused)
        recording.refused = not any(line.startswith(b"x-gateway-upstream") for line in refused.lines)
        route = NO_UPSTREAM if recording.refused else ()
        exchange.reply(refused.status, anthropic_errors.reason(refused.status), [*lines, *route], text)
        return refused.status

    def refusal(self, problem: Malformed) -> bytes:
        """Return the complete response to bytes that are not an HTTP request."""
        self._tally.answered(problem.status)
        self._recorder.malformed(problem.status)
        text = anthropic_errors.error_body(problem.status, f"cannot read the request: {problem.why}")
        lines = [JSON, b"content-length: %d" % len(text), NO_RETRY, *NO_UPSTREAM, b"Connection: close"]
        return head.write_response(problem.status, anthropic_errors.reason(problem.status), lines) + text

    def messages_at(self, exchange: Exchange, remembered: Remembered) -> bytes:
        """Return the target of a request that asks for a message, by its header lines; b"" if `_answer` has to look."""
        introduction = self._introductions.of(exchange.head, exchange.connection, remembered)
        path, target = _path(exchange.head.target)  # one with an authority begins with no slash
        if path != MESSAGES or exchange.head.method != b"POST" or not introduction.caller.credential:
            return b""
        return target if introduction.rejection is None and not introduction.comes_back else b""

    def asks_for_key(self, introduction: Introduction) -> bool:
        """Whether it has to be found out whose key a caller has, which may take a while."""
        return bool(introduction.caller.key_digest) or self._admission.named.is_asked_for

    async def _answer(self, exchange: Exchange, recording: Recording, remembered: Remembered) -> int:
        request = exchange.head
        introduction = self._introductions.of(request, exchange.connection, remembered)
        recording.asker, recording.form = introduction.asker, introduction.form
        authority, target = guard.authority_of(request.target)
        refusal = introduction.rejection
        if authority is not None:
            refusal = guard.check(request.fields, authority, self._settings.hosts)
        path, target = _path(target)
        if path in pages.PATHS and request.method in (b"GET", b"HEAD"):
            return await self._pages.answer(exchange, path, introduction, refusal)
        if path[:8] == HERE and path[8:9] in (b"/", b""):
            return await self._show_dashboard(exchange, path, target, refusal)
        if refusal is not None:
            raise refused_by_guard(refusal)
        if request.method == b"HEAD" and path in _HELLO:
            exchange.reply(200, b"OK", NO_UPSTREAM, b"")
            return 200
        if introduction.comes_back:
            where = f"[anthropic] base_url, {self._settings.base_url}, leads back to this gateway"
            hint = "Anthropic itself: `claude-gatewayctl config unset anthropic.base_url && claude-gatewayctl reload`"
            raise Refused(508, f"cannot reach Anthropic: {where}. {hint}", NO_RETRY)
        key = None
        if self.asks_for_key(introduction):
            key = await self._admission.admit(introduction, recording)
        call = recording.call = self.admitted(exchange, path, target, introduction, key)
        route = call.route
        if path.startswith(bedrock_mode.PREFIX):
            route.lane, route.upstream = "bedrock-mode", "bedrock"
            return await self._answer_bedrock_mode(call)
        if request.method == b"POST":
            if path in ROUTES:
                route.lane = "litellm"
                await self._read_decoded(call)
                return await self._lanes.litellm.answer(call)
            if path in _READ:  # whatever content type it names: its model says who may see it
                call.body = await exchange.hold(self._settings.max_body, self._budget)
                if (alias := self.parse(call)) is not None:
                    await self._rename(call, alias)
                route.lane = self.lane_of(call)
                if route.lane == "bedrock":
                    return await self._ask_bedrock(call)
                if route.lane == "litellm" and await self._lanes.litellm.serves(call):
                    return await self._lanes.litellm.answer(call)
        if call.body is None and exchange.body_done and not request.length and not request.chunked:
            call.body = b""
        if request.method == b"GET" and self._lanes.models is not None and model_list.model_of(path) is not None:
            route.lane = "models"
            return await self._lanes.models.answer(call)
        if not call.caller.credential:
            raise pages.no_credential()
        route.lane = "anthropic"
        return await self._lanes.anthropic.answer(call)

    def lane_of(self, call: Call) -> str:
        """Return the lane of a call for Anthropic's API; "litellm" where LiteLLM has to be asked whether it is."""
        if bedrock_models.is_bedrock_only(call.model):
            return "bedrock"
        return "litellm" if self._lanes.litellm.may_serve(call) else "anthropic"

    async def _show_dashboard(self, exchange: Exchange, path: bytes, target: bytes, refusal: Rejection | None) -> int:
        """Answer a request of the dashboard's. Return 0: it is not counted, and an open page is no work."""
        self._tally.under_way -= 1
        try:
            await self._lanes.dashboard.answer(exchange, path, target, refusal)
        finally:
            self._tally.under_way += 1
        return 0

    async def _ask_bedrock(self, call: Call) -> int:
        """Answer a call for a `*-bedrock` model."""
        call.route.upstream = "bedrock"
        if self._lanes.bedrock is None:
            status = 501 if call.is_count else 400
            raise Refused(status, f"cannot ask Bedrock: {self._lanes.without_bedrock}", NO_RETRY, *call.route.lines)
        try:
            await self._authorization.require(call)
        except Refused as refused:
            if call.is_count and refused.status == 503:  # nobody waits for a count: Claude Code estimates
                raise cannot_count(call, refused.message) from None
            raise
        return await (self._lanes.bedrock.count(call) if call.is_count else self._lanes.bedrock.serve(call))

    async def _answer_bedrock_mode(self, call: Call) -> int:
        """Answer a call of a client that speaks Bedrock's API."""
        if self._lanes.bedrock_mode is None:  # 424: after a 400, Claude Code tries seven models and more
            raise Refused(424, f"cannot ask Bedrock: {self._lanes.without_bedrock}", NO_RETRY, *call.route.lines)
        operation = self._lanes.bedrock_mode.admit(call)
        call.body = await call.exchange.hold(self._settings.max_body, self._budget)
        return await self._lanes.bedrock_mode.answer(call, operation)

    async def _answer_ticket(self, exchange: Exchange) -> int:
        """Answer a request that LiteLLM makes for a caller: the ticket is replaced by the caller's own credential."""
        request = exchange.head
        outer = self._tickets.redeem(request.fields.get(b"x-api-key"))
        if outer is None or request.method != b"POST" or request.target.partition(b"?")[0] != MESSAGES:
            raise Refused(404, "cannot serve: there is nothing here", NO_RETRY)
        call = Call(
            exchange,
            outer.caller,
            MESSAGES,
            request.target,
            outer.digest,
            dropped_headers=frozenset(callers.FOR_ANTHROPIC),
            route=outer.route,
            asked_for=outer.from_caller,
            key=outer.key,
        )
        call.route.upstream, call.route.api_base = "anthropic", self._settings.base_url
        own = outer.exchange.head.fields
        mine = [name for name in callers.FOR_ANTHROPIC if name in own and name not in outer.dropped_headers]
        call.replaced_headers = [*outer.replaced_headers, *(name + b": " + own[name] for name in mine)]
        if outer.caller.form == "oauth":
            betas = request.fields.all_of(b"anthropic-beta")
            call.replaced_headers.append(b"anthropic-beta: " + b",".join(filter(None, (betas, _OAUTH_BETA))))
        call.body = await exchange.hold(self._settings.max_body, self._budget)
        if (alias := self.parse(call)) is not None:
            await self._rename(call, alias)
        if bedrock_models.is_bedrock_only(call.model):
            return await self._ask_bedrock(call)
        return await self._lanes.anthropic.answer(call)

    def admitted(
        self, exchange: Exchange, path: bytes, target: bytes, introduction: Introduction, key: NamedKey | None = None
    ) -> Call:
        """Admit the caller. Raises Refused without a credential, or without the key where it is required."""
        caller, digest = introduction.caller, introduction.digest
        if introduction.form in self._settings.refuses:
            raise Refused(403, _NOT_ACCEPTED[introduction.form], NO_RETRY)
        if key is not None and kind_of(exchange.head.method, path) in TOKEN_KINDS:
            self._admission.require_room(key)
        elif key is None and self._settings.remote and not caller.has_key:
            raise self._admission.without_key(introduction)
        if not caller.credential and not caller.has_key and key is None and not path.startswith(bedrock_mode.PREFIX):
            raise pages.no_credential()
        replaced, dropped = [], introduction.dropped
        if path in ROUTES and (token := callers.api_key_as_bearer(caller)):  # Anthropic takes it in its own header only
            caller = caller._replace(credential=token)
            replaced, dropped = [b"x-api-key: " + token], dropped | {b"authorization"}
            digest = self._known.digest(token)
        return Call(
            exchange,
            caller,
            path,
            target,
            digest,
            dropped_headers=dropped,
            replaced_headers=replaced,
            facts=introduction.facts,
            key=key,
        )

    async def _read_decoded(self, call: Call) -> None:
        """Read a body that may be compressed: it is written anew for LiteLLM in any case. Raises Refused."""
        named = call.exchange.head.fields.get(b"content-encoding")
        if not content_coding.knows(named):
            message = "cannot read the request: its content-encoding is none of gzip, deflate, br, zstd"
            raise Refused(415, message, b"accept-encoding: gzip, deflate, br, zstd", NO_RETRY)
        call.body = await call.exchange.hold(self._settings.max_body, self._budget)
        if named:
            # One at a time: two kilobytes become max_body, and are charged only when they have.
            async with self._decoding:
                most = min(self._settings.max_body, max(0, self._budget.left))
                try:
                    call.body = await asyncio.to_thread(content_coding.expanded, named, call.body, most)
                except content_coding.NotDecoded:
                    message = f"cannot read the request: its body is not the {named.decode('latin-1')} that it claims"
                    raise Refused(400, message, NO_RETRY) from None
                except content_coding.TooMuch:
                    raise (BodyTooLarge if most == self._settings.max_body else OverBudget) from None
                call.exchange.charge(len(call.body))
        if (alias := self.parse(call)) is not None:
            await self._rename(call, alias)

    def parse(self, call: Call) -> str | None:
        """Read the model from the body; return what it is an alias of, None where it is none."""
        assert call.body is not None
        parsed = call.parsed = anthropic_request.read(call.body)
        if parsed.model is None:
            return None
        model = call.model = anthropic_request.routing_name(parsed.model)
        return self._settings.aliases.get(model)

    async def _rename(self, call: Call, alias: str) -> None:
        """Replace the model of the body by the one that it is an *alias* of."""
        assert call.body is not None
        call.model = alias
        if call.is_large:  # it is scanned character by character
            call.body = await asyncio.to_thread(anthropic_request.with_model, call.body, alias)
        else:
            call.body = anthropic_request.with_model(call.body, alias)

    def _body_refused(self, problem: BodyCut | BodyTooLarge | OverBudget) -> Refused:
        if isinstance(problem, BodyTooLarge):
            limit = f"{self._settings.max_body // 1024} KiB"
            return Refused(413, f"cannot take the request: its body is over [listen] max_body, {limit}")
        if isinstance(problem, OverBudget):
            busy = "cannot take the request now: the requests under way fill the memory set aside for them"
            return Refused(503, busy, b"retry-after: 1")
        return Refused(400, "cannot take the request: the connection ended before its body did")


def _path(target: bytes) -> tuple[bytes, bytes]:
    """Return the path of a request target without an authority, and the path with its query."""
    if target.startswith(_PREFIX) and target[len(_PREFIX) :][:1] in (b"/", b"?", b""):
        target = target[len(_PREFIX) :] or b"/"
    return target.partition(b"?")[0], target
