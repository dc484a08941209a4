"""Admit callers by their named key, or say why not."""

import math
import time
from typing import Final

from claude_gatewayd.ledger.keys.named_key import NamedKey
from claude_gatewayd.worker.gateway.call import NO_RETRY, Refused
from claude_gatewayd.worker.gateway.caller import SEND_KEY
from claude_gatewayd.worker.gateway.introduction import Introduction
from claude_gatewayd.worker.gateway.recording.record import Recording
from claude_gatewayd.worker.gateway.remote.wrong_keys import WrongKeys
from claude_gatewayd.worker.keys.named_keys import NamedKeys

_ASK: Final = "ask whoever operates the gateway for a new one"
_UNKNOWN: Final = (
    f"cannot serve: this gateway does not know the key in x-gateway-key; {_ASK} (claude-gatewayctl keys add NAME)"
)
_NO_KEY: Final = f"cannot serve: the gateway key is missing or wrong; {SEND_KEY} on the gateway's machine"
_NO_NAMED_KEY: Final = (
    "cannot serve: the key is missing or wrong; "
    "send the header x-gateway-key with a key that `claude-gatewayctl keys add NAME` makes on the gateway's machine"
)
_OPERATORS: Final = (
    "cannot serve: the gateway's own key is its operator's alone since there are named keys; "
    "use a key of your own (claude-gatewayctl keys add NAME, on the gateway's machine)"
)


class Admission:
    """Look keys up, and say what is wrong with them."""

    def __init__(self, named: NamedKeys) -> None:
        self.named = named
        self._wrong_keys = WrongKeys(time.monotonic)

    async def admit(self, introduction: Introduction, recording: Recording | None = None) -> NamedKey | None:
        """Return the caller's named key, None where it has sent none and needs none. Raises Refused.

        The *recording* gets its name, also where it is refused.
        """
        named, caller = self.named, introduction.caller
        if not caller.key_digest:
            if named.is_asked_for:
                raise self.without_key(introduction)
            return None
        key = await named.find(caller.key_digest)
        if key is not None and recording is not None:
            recording.key_name = key.name
        if key is None and not named.has_read:
            why = "cannot check the key now: the gateway has not reached its database since it started"
            raise Refused(503, why, b"retry-after: 5")
        if key is None and not named.any:
            return None  # a gateway without named keys: as if it had not been sent
        if key is None:
            raise self._wrong(introduction, _UNKNOWN)
        if refusal := self._refusal(key):
            raise Refused(401, refusal, NO_RETRY)
        named.note_use(key)
        return key

    def without_key(self, introduction: Introduction) -> Refused:
        """Return the refusal of a caller who has sent no key that would do."""
        if not self.named.is_asked_for:
            return self._wrong(introduction, _NO_KEY)
        if introduction.caller.has_key:
            return Refused(401, _OPERATORS, NO_RETRY)
        return self._wrong(introduction, _NO_NAMED_KEY)

    def require_room(self, key: NamedKey) -> None:
        """Count a request for a model. Raises Refused where a key has made as many as it may."""
        if seconds := self.named.count(key):
            limit = self.named.limit_of(key)
            why = f"cannot serve now: the key {key.name} has made {limit} requests within a minute, as many as it may"
            raise Refused(429, f"{why}; try again in {seconds} s", b"retry-after: %d" % seconds)

    def _wrong(self, introduction: Introduction, why: str) -> Refused:
        if wait := self._wrong_keys.count(introduction.asker.address):
            many = f"cannot serve: too many requests with a wrong key; wait {wait:.0f} s, and check x-gateway-key"
            return Refused(429, many, b"retry-after: %d" % math.ceil(wait))
        return Refused(401, why, NO_RETRY)

    def _refusal(self, key: NamedKey) -> str:
        match self.named.standing(key):
            case "revoked":
                return f"cannot serve: the key of {key.name} is revoked; {_ASK} (claude-gatewayctl keys add NAME)"
            case "expired":
                at = time.strftime("%Y-%m-%d %H:%M", time.localtime(key.expires_at))
                why = f"this key of {key.name} is no longer good since {at}"
                return f"cannot serve: {why}; {_ASK} (claude-gatewayctl keys rotate {key.name})"
        return ""
