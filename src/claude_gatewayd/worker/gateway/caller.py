"""Identify callers: by their credential for Anthropic, and by the gateway key or a named key."""

import hmac
import re
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from claude_gatewayd.ledger.keys.named_key import PREFIX, digest_in
from claude_gatewayd.worker.relay.outgoing import KEY_HEADERS

FOR_ANTHROPIC = (b"authorization", b"x-api-key")
SEND_KEY: Final = "send the header x-gateway-key with what `claude-gatewayctl key` shows"  # for people


_FORM = re.compile(rb"(?:\A|\0)(?:bearer +)?sk-ant-(oat|api)\d*-", re.IGNORECASE)
_API_KEY_AS_BEARER = re.compile(rb"bearer +(sk-ant-api\d*-[^\s\0]+)\Z", re.IGNORECASE)  # and nothing beside it
_BEARER = re.compile(rb"bearer +", re.IGNORECASE)
_NONE: frozenset[bytes] = frozenset()
_NAMED = PREFIX.encode()

Form = Literal["", "oauth", "api-key", "other"]


class Caller(NamedTuple):
    """Who is calling.

    *credential* is what was sent for Anthropic, b"" for nothing; only Anthropic can tell whether it is valid.
    *has_key*: the gateway key was sent; *key_digest* is that of a named key, whether anybody knows it or not, "" for
    none. *key_headers* hold the one or the other, and go to no upstream.
    """

    credential: bytes
    has_key: bool
    key_headers: frozenset[bytes]
    key_digest: str = ""

    @property
    def form(self) -> Form:
        """The form of the credential. If two were sent, it is the form of the first one of Anthropic's."""
        known = _FORM.search(self.credential)
        if known is None:
            return "other" if self.credential else ""
        return "oauth" if known[1].lower() == b"oat" else "api-key"

    def __repr__(self) -> str:
        keys = f"{', gateway key' if self.has_key else ''}{', named key' if self.key_digest else ''}"
        return f"Caller({self.form or 'no'} credential{keys})"


def identify(fields: Mapping[bytes, bytes], key: str) -> Caller:
    """Identify the caller. The time that this takes does not reveal how much of a *key* is right."""
    wanted = key.encode()
    has_key, digest = False, ""
    key_headers = _NONE
    found = []
    for name in FOR_ANTHROPIC:
        value = fields.get(name)
        if value:
            if _matches(value, wanted):
                has_key, key_headers = True, key_headers | {name}
            elif _NAMED in value and (named := digest_in(value)):  # also one that nobody knows: no upstream gets it
                digest, key_headers = named, key_headers | {name}
            else:
                found.append(value)
    for name in KEY_HEADERS:
        value = fields.get(name)
        if value and _matches(value, wanted):
            has_key = True
        elif value and _NAMED in value:
            digest = digest_in(value) or digest
    return Caller(b"\0".join(found), has_key, key_headers, digest)


def api_key_as_bearer(caller: Caller) -> bytes:
    """Return the API key that was sent as a bearer token, as OpenAI's SDKs send any key; b"" if there is none."""
    found = _API_KEY_AS_BEARER.match(caller.credential)
    return found[1] if found is not None else b""


def _matches(value: bytes, key: bytes) -> bool:
    """Compare a header's value, with or without "Bearer", with the key. The length of keys is no secret."""
    if not len(key) <= len(value) <= len(key) + 12:
        return False
    return hmac.compare_digest(_BEARER.sub(b"", value, count=1), key)
