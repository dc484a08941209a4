"""Who may spend AWS money: callers with the gateway key, and the user's own whose credential Anthropic accepts."""

import asyncio
import json
import logging
from collections import OrderedDict

from claude_gatewayd.anthropic.request import COUNT_TOKENS
from claude_gatewayd.bedrock import models as bedrock_models
from claude_gatewayd.http1 import head
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.network.connect import Origin
from claude_gatewayd.worker.gateway.call import NO_RETRY, Call, Refused
from claude_gatewayd.worker.gateway.caller import SEND_KEY
from claude_gatewayd.worker.gateway.known_credentials import KnownCredentials, label, proves
from claude_gatewayd.worker.gateway.strangers import Strangers
from claude_gatewayd.worker.keys.named_keys import NamedKeys
from claude_gatewayd.worker.relay.outgoing import outgoing_request
from claude_gatewayd.worker.relay.relay import Relay

logger = logging.getLogger(__name__)

_CHECK_TIMEOUT = 10.0
_REFUSED_FOR = 10.0  # seconds to remember a refusal: a burst of requests makes one check
_REMEMBERED = 256
_RECENT = 60.0  # seconds
_CHECK_BODY = json.dumps(
    {"model": bedrock_models.ALIASES["claude-haiku"], "messages": [{"role": "user", "content": "foo"}]}
).encode()
_REQUIRED_HEADERS = {
    b"content-type": b"Content-Type: application/json",
    b"anthropic-version": b"anthropic-version: 2023-06-01",
}


class Authorization:
    """Decide which callers may spend, and learn it from Anthropic's answers to them."""

    def __init__(
        self, known: KnownCredentials, strangers: Strangers, anthropic: Relay, origin: Origin, named: NamedKeys
    ) -> None:
        self._named = named
        self._known = known
        self._strangers = strangers
        self._anthropic = anthropic
        self._origin = origin
        self._loop = asyncio.get_running_loop()
        self._checks: dict[str, asyncio.Task[Refused | None]] = {}
        self._refusals: OrderedDict[str, tuple[float, Refused]] = OrderedDict()
        self._bought: OrderedDict[str, float] = OrderedDict()

    def is_known(self, call: Call) -> bool:
        """Whether the credential of a caller would do. Costs next to nothing, unlike `obstacle`."""
        return call.caller.has_key or call.key is not None or (bool(call.digest) and self._known.knows(call.digest))

    def obstacle(self, call: Call) -> str:
        """Return why a caller may not spend, as far as is known; "" if it may."""
        if call.key is not None:
            return self._named.obstacle(call.key)
        if call.caller.has_key:
            return ""
        if not self.is_known(call):
            return "this credential may not spend AWS money yet"
        return self._strangers.obstacle(call.from_caller)

    def told(self, call: Call, why: str) -> str:
        """Return the sentence for a person whose named key is *why* Bedrock does not answer; "" for anybody else."""
        if call.key is None:
            return ""
        return f"Bedrock does not answer in its place: {why} (`{self._named.remedy(call.key)}`)"

    def bought_recently(self, call: Call) -> bool:
        """Whether a caller got a paid answer within the last minute without a second attempt at Anthropic."""
        at = self._bought.get(call.digest)
        return at is not None and self._loop.time() - at < _RECENT

    def note_purchase(self, call: Call) -> None:
        """Note that a caller is to get such an answer now."""
        self._bought[call.digest] = self._loop.time()
        self._bought.move_to_end(call.digest)
        while len(self._bought) > _REMEMBERED:
            self._bought.popitem(last=False)

    def learn(self, call: Call, status: int, fields: head.Fields, *, is_account: bool = False) -> None:
        """Learn from Anthropic's answer to a caller. *is_account*: it refuses for want of the account's money."""
        if not call.digest or self._known.is_fresh(call.digest):
            return
        if proves(status, fields, call.exchange.head.method, call.path, is_account=is_account):
            self._refusals.pop(call.digest, None)
            is_new = not self._known.knows(call.digest)
            self._known.learn(call.digest)
            if is_new:
                logger.info("Anthropic accepts the credential %s: it may use Bedrock", label(call.digest))

    async def require(self, call: Call) -> None:
        """Return if a caller may spend. An unknown credential is checked by a request that costs nothing.

        Raises Refused.
        """
        if call.key is not None:
            if why := self._named.obstacle(call.key):
                hint = f"its operator changes that by `{self._named.remedy(call.key)}`"
                raise Refused(403, f"cannot use Bedrock: {why}; {hint}", NO_RETRY, *call.route.lines)
            return
        if not call.caller.has_key and (stranger := self._strangers.obstacle(call.from_caller)):
            raise Refused(403, f"cannot use Bedrock for this caller: {stranger}", NO_RETRY)
        if self.is_known(call):
            return
        assert call.digest  # without the key, there is a credential: others were refused before
        known = self._refusals.get(call.digest)
        if known is not None and known[0] > self._loop.time():
            raise known[1].anew()
        check = self._checks.get(call.digest)
        if check is None:  # one per credential, and it outlives the request that began it
            check = self._checks[call.digest] = asyncio.create_task(self._check(call))
            check.add_done_callback(lambda _: self._checks.pop(call.digest, None))
        refusal = await asyncio.shield(check)
        if refusal is not None:
            self._refusals[call.digest] = (self._loop.time() + _REFUSED_FOR, refusal)
            self._refusals.move_to_end(call.digest)
            while len(self._refusals) > _REMEMBERED:
                self._refusals.popitem(last=False)
            raise refusal.anew()

    async def _check(self, call: Call) -> Refused | None:
        """Have Anthropic count the tokens of a word with the caller's credential. Return why the caller may not spend.

        This is not for the model of the request: Anthropic may not have it, or no longer.
        """
        request = call.exchange.head
        query = b"?beta=true" if b"anthropic-beta" in request.fields else b""
        missing = [line for name, line in _REQUIRED_HEADERS.items() if name not in request.fields]
        check = outgoing_request(
            request,
            COUNT_TOKENS + query,
            _CHECK_BODY,
            self._origin,
            call.dropped_headers,
            call.replaced_headers + missing,
        )
        try:
            answer = await self._anthropic.ask(None, check, seconds=_CHECK_TIMEOUT, fresh=False)
            await answer.keep()
        except UpstreamFailed as failed:
            return Refused(503, _cannot_check(failed.detail), b"retry-after: 10")
        status = answer.head.status
        if proves(status, answer.head.fields, b"POST", COUNT_TOKENS):
            self._known.learn(call.digest)
            logger.info("Anthropic accepts the credential %s: it may use Bedrock", label(call.digest))
            return None
        if status in (401, 403):
            return Refused(
                status, f"cannot use Bedrock for this caller: Anthropic rejects the credential. {_HINT}", NO_RETRY
            )
        return Refused(503, _cannot_check(f"it answered {status}"), b"retry-after: 10")


_HINT = f"Log in with `claude` and /login, or {SEND_KEY}"


def _cannot_check(why: str) -> str:
    return (
        "cannot use Bedrock for this caller: the credential has never been seen to work, and Anthropic "
        f"cannot be asked about it now ({why}). Try again when Anthropic answers, or {SEND_KEY}"
    )
