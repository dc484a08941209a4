"""Who is calling, and whether they may."""

import hmac
import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from claude_gatewayd.worker.relay.outgoing import FOR_THE_GATEWAY

FOR_ANTHROPIC = (b"authorization", b"x-api-key")


_FORM = re.compile(rb"(?:\A|\0)(?:bearer +)?sk-ant-(oat|api)\d*-", re.IGNORECASE)
_API_KEY_AS_BEARER = re.compile(rb"bearer +(sk-ant-api\d*-[^\s\0]+)\Z", re.IGNORECASE)  # and nothing beside it
_BEARER = re.compile(rb"bearer +", re.IGNORECASE)
_NONE: frozenset[bytes] = frozenset()

Form = Literal["", "oauth", "api-key", "other"]


class Caller(NamedTuple):
    """Who is calling.

    *credential* is what was brought for Anthropic, b"" for nothing; only Anthropic can say whether it is good.
    *has_key*: the gateway's key was brought; *key_headers* are the headers that hold it, and so go to no upstream.
    """

    credential: bytes
    has_key: bool
    key_headers: frozenset[bytes]

    @property
    def form(self) -> Form:
        """Say of which form the credential is; of two the first that is one of Anthropic's counts."""
        known = _FORM.search(self.credential)
        if known is None:
            return "other" if self.credential else ""
        return "oauth" if known[1].lower() == b"oat" else "api-key"

    def __repr__(self) -> str:
        return f"Caller({self.form or 'no'} credential{', gateway key' if self.has_key else ''})"


def identify(fields: Mapping[bytes, bytes], key: str) -> Caller:
    """Say who is calling. How long it takes does not tell how much of a *key* is right."""
    wanted = key.encode()
    has_key = False
    key_headers = _NONE
    found = []
    for name in FOR_ANTHROPIC:
        value = fields.get(name)
        if value:
            if _is(value, wanted):
                has_key, key_headers = True, key_headers | {name}
            else:
                found.append(value)
    for name in FOR_THE_GATEWAY:
        value = fields.get(name)
        if value and _is(value, wanted):
            has_key = True
    return Caller(b"\0".join(found), has_key, key_headers)


def api_key_as_bearer(caller: Caller) -> bytes:
    """Return the API key that a caller has sent as a bearer, as OpenAI's SDKs do with any; b"" where it is none."""
    found = _API_KEY_AS_BEARER.match(caller.credential)
    return found[1] if found is not None else b""


def _is(value: bytes, wanted: bytes) -> bool:
    """Compare a header's value, a bearer or bare, with the key. Its length, which any key has, is no secret."""
    if not len(wanted) <= len(value) <= len(wanted) + 12:
        return False
    return hmac.compare_digest(_BEARER.sub(b"", value, count=1), wanted)
